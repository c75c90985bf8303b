"""The command line: what an import prints and how wrong settings and files end it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakes.gateway import FakeGateway
from fakes.model import DOWN
from support.customers import body, stored

from gateway import __main__ as command_line
from gateway import wiring
from gateway.commands import imports
from gateway.commands.imports import ROWS_REJECTED
from gateway.services.access.concurrency import concurrency_limits
from gateway.services.customers.digest import keyed_digest, log_digest
from gateway.services.errors import StoreUnavailable
from gateway.services.imports.records import MAX_LISTED_ERRORS
from gateway.settings import Settings

HEADER = ",".join(body())
GOOD = ",".join(map(str, body("A").values()))
BAD = ",".join(map(str, body("B", TENURE=13).values()))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of one good and one bad customer."""
    path = tmp_path / "customers.csv"
    path.write_bytes(f"\ufeffNote,{HEADER}\r\nx,{GOOD}\r\nx,{BAD}\r\n".encode())
    return path


@pytest.fixture
def run(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    """A runner of the commands, on fakes of the ports."""
    monkeypatch.setattr(wiring, "build_services", lambda *_: gateway.services)
    monkeypatch.setattr(imports, "end_without_replica_set", lambda _: None)
    return CliRunner()


def _import(run: CliRunner, file: Path, *options: str) -> Result:
    return run.invoke(command_line.main, ["import", str(file), *options])


class TestImport:
    def test_prints_a_receipt_with_every_bad_row(self, run: CliRunner, gateway: FakeGateway, file: Path) -> None:
        result = _import(run, file)
        assert result.exit_code == ROWS_REJECTED
        assert "2 rows: 1 created, 0 updated, 0 unchanged, 1 rejected\n" in result.stdout
        assert "  line 3, TENURE: must be at most 12\n" in result.stdout
        assert "ignored columns: Note\n" in result.stdout
        assert list(gateway.store.customers) == ["A"]

    def test_mirrors_a_file_with_a_confirmation(self, run: CliRunner, gateway: FakeGateway, file: Path) -> None:
        long_ago = {"created_at": datetime(2020, 1, 1), "updated_at": datetime(2020, 1, 1)}
        gateway.store.insert_many([{**stored(cust_id), **long_ago} for cust_id in ("A", "C", "D")])
        file.write_text(f"{HEADER}\n{GOOD}\n", encoding="utf-8")
        told = _import(run, file, "--mode", "mirror", "--dry-run").stdout
        assert "2 of 3 stored customers are missing in the file, 2 would be deleted\n" in told
        assert "  needs --confirm-missing 2\n" in told
        refused = _import(run, file, "--mode", "mirror")
        assert (refused.exit_code, len(gateway.store.customers)) == (1, 3)
        assert "nobody was deleted: 2 of 3 stored customers are missing" in refused.stderr
        done = _import(run, file, "--mode", "mirror", "--confirm-missing", "2")
        assert (done.exit_code, list(gateway.store.customers)) == (0, ["A"])
        assert "2 of 3 stored customers are missing in the file, 2 were deleted\n" in done.stdout
        assert _import(run, file, "--confirm-missing", "2").exit_code == 2

    def test_of_good_rows_only_ends_well(self, run: CliRunner, file: Path) -> None:
        file.write_text(f"{HEADER}\n{GOOD}\n", encoding="utf-8")
        assert _import(run, file).exit_code == 0
        assert "1 rows: 0 created, 0 updated, 1 unchanged, 0 rejected" in _import(run, file).stdout

    def test_says_how_the_file_was_read(self, run: CliRunner, gateway: FakeGateway, file: Path) -> None:
        lines = [HEADER.replace("CUST_ID", "Account"), GOOD, "," * 17]
        file.write_text("\n".join(lines), encoding="utf-8")
        result = _import(run, file, "--columns", "CUST_ID:account")
        assert result.exit_code == 0, result.output
        assert "CUST_ID is read from 'Account'\n" in result.stdout
        assert "blank rows, skipped: 1\n" in result.stdout
        assert list(gateway.store.customers) == ["A"]
        refused = _import(run, file, "--columns", "SALDO:x")
        assert (refused.exit_code, "--columns" in refused.stderr) == (2, True)

    def test_as_json(self, run: CliRunner, file: Path) -> None:
        receipt = json.loads(_import(run, file, "--json").stdout)
        counts = {"rows": 2, "created": 1, "updated": 0, "unchanged": 0, "rejected": 1, "pending": 0, "faults": 1}
        assert {name: receipt[name] for name in counts} == counts
        assert (receipt["status"], receipt["name"], receipt["mode"]) == ("completed", "customers.csv", "upsert")
        assert receipt["size"] == receipt["bytes"] == file.stat().st_size
        assert receipt["ignored_columns"] == ["Note"]
        assert receipt["errors"] == [{"line": 3, "column": "TENURE", "detail": "must be at most 12"}]
        assert receipt["by"]["id"] == "command-line"

    def test_is_an_import_like_any_other(self, run: CliRunner, gateway: FakeGateway, file: Path) -> None:
        receipt = json.loads(_import(run, file, "--json").stdout)
        found = gateway.client.get(f"/api/v1/imports/{receipt['id']}").get_json()
        assert {**found, "errors_url": None, "updated_at": None} == {**receipt, "errors_url": None, "updated_at": None}

    def test_inserts_only_where_that_is_wanted(self, run: CliRunner, file: Path) -> None:
        _import(run, file)
        result = _import(run, file, "--mode", "insert")
        assert "0 unchanged, 2 rejected\n" in result.stdout
        assert "  line 2, CUST_ID: already exists\n" in result.stdout

    def test_writes_nothing_in_a_dry_run(self, run: CliRunner, gateway: FakeGateway, file: Path) -> None:
        assert "2 rows: 1 would be created" in _import(run, file, "--dry-run").stdout
        assert gateway.store.customers == {}

    def test_of_a_file_whose_name_is_no_utf8(self, run: CliRunner, gateway: FakeGateway, tmp_path: Path) -> None:
        path = tmp_path / os.fsdecode(b"gr\xfcn.csv")
        path.write_text(f"{HEADER}\n{GOOD}\n", encoding="utf-8")
        result = _import(run, path)
        assert (result.exit_code, list(gateway.store.customers)) == (0, ["A"])
        (record,) = gateway.imports.records.values()
        assert record["name"] == "gr\ufffdn.csv"

    @pytest.mark.parametrize("suffix", [".ndjson", ".jsonl", ".NDJSON"])
    def test_of_ndjson_by_its_name(self, run: CliRunner, gateway: FakeGateway, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"customers{suffix}"
        path.write_text(f"{json.dumps(body('A'))}\n{json.dumps(body('B'))}\n", encoding="utf-8")
        assert _import(run, path).exit_code == 0
        assert sorted(gateway.store.customers) == ["A", "B"]

    def test_says_which_customers_have_no_segment_yet(self, run: CliRunner, gateway: FakeGateway, file: Path) -> None:
        gateway.model.failure = DOWN
        assert "1 have no segment yet" in _import(run, file).stdout

    def test_lists_only_the_first_errors(self, run: CliRunner, file: Path) -> None:
        file.write_text("\n".join([HEADER, *[BAD] * (MAX_LISTED_ERRORS + 1)]), encoding="utf-8")
        lines = _import(run, file).stdout.splitlines()
        assert len([line for line in lines if "TENURE" in line]) == MAX_LISTED_ERRORS
        assert lines[-1] == "  … and more: only the first are listed"

    def test_of_a_file_with_a_wrong_header(self, run: CliRunner, file: Path) -> None:
        file.write_text("BALANCE\n1\n", encoding="utf-8")
        result = _import(run, file)
        assert result.exit_code == 1
        assert (
            "Error: The header does not fit: line 1 was read as 1 column, 'BALANCE'. CUST_ID column is missing"
            in result.stderr
        )

    def test_that_is_interrupted_says_what_was_stored(self, run: CliRunner, gateway: FakeGateway, file: Path) -> None:
        gateway.store.failure = StoreUnavailable("the database cannot be reached")
        result = _import(run, file)
        assert result.exit_code == 1
        assert "stopped after 0 rows: the database cannot be reached" in result.stderr
        assert "0 created" in result.stderr

    def test_of_bytes_that_are_no_utf8(self, run: CliRunner, gateway: FakeGateway, file: Path) -> None:
        file.write_bytes(f"{HEADER}\n".encode() + b"\xff" + GOOD.encode() + f"\n{GOOD}\n".encode())
        assert "line 2, CUST_ID" in _import(run, file).stdout
        assert list(gateway.store.customers) == ["A"]


@pytest.mark.parametrize("command", [["import", __file__], ["worker"], ["serve"]])
def test_a_wrong_setting_ends_every_command_with_its_name(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "nonsense")
    result = CliRunner().invoke(command_line.main, command)
    assert result.exit_code == 1
    assert 'Error: wrong setting: Environment variable "MONGODB_URI" invalid' in result.stderr


def test_the_digest_of_a_customer_is_that_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_SECRET_KEY", "dC9sQm3bYb1Zk7vJx2TqLw8RnHfGp5Ae")
    made = CliRunner().invoke(command_line.main, ["digest", "S00001", "S00002"]).stdout.split()
    assert made == [log_digest("dC9sQm3bYb1Zk7vJx2TqLw8RnHfGp5Ae")(cust_id) for cust_id in ("S00001", "S00002")]
    assert made[0] != keyed_digest("dC9sQm3bYb1Zk7vJx2TqLw8RnHfGp5Ae", "erasure", "S00001")[:16]
    for arguments in ([], ["S00001", "--find", made[0]]):
        assert CliRunner().invoke(command_line.main, ["digest", *arguments]).exit_code == 2


def test_serve_becomes_the_server_that_the_settings_describe(monkeypatch: pytest.MonkeyPatch) -> None:
    executed: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, line: executed.append(line))
    monkeypatch.setenv("GATEWAY_PORT", "9123")
    monkeypatch.setattr(command_line, "refuse_taken", lambda *_: None)  # it opens a socket
    assert CliRunner().invoke(command_line.main, ["serve"]).exit_code == 0
    (line,) = executed
    assert line[line.index("--port") + 1] == "9123"
    assert line[-1] == "gateway.granian_app:create_app"
    threads = int(line[line.index("--blocking-threads") + 1])
    assert threads == concurrency_limits(Settings().threads).threads


def test_a_missing_mongod_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONGODB_URI", raising=False)
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(command_line.mongod, "WHEEL", "no-such-wheel")
    monkeypatch.setattr(command_line, "refuse_taken", lambda *_: None)  # it opens a socket
    result = CliRunner().invoke(command_line.main, ["mongod"])
    assert result.exit_code == 1
    assert "Error: no mongod found: install MongoDB" in result.stderr


def test_an_empty_file_is_an_error(run: CliRunner, file: Path) -> None:
    file.write_bytes(b"")
    result = _import(run, file)
    assert (result.exit_code, "Error: The file is empty" in result.stderr) == (1, True)
