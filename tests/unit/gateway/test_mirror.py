"""Mirroring a file on fakes: who is missing in it is deleted once, restorably, and nobody by mistake."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from support.customers import ORIGIN, body, stored
from support.problems import assert_problem
from werkzeug.test import TestResponse

from gateway.files.reader import CustomerFile
from gateway.services.clock import now
from gateway.services.customers.bulk_writes import RowCounts
from gateway.services.errors import StoreUnavailable, UploadBroken
from gateway.services.imports.imports import ImportOptions
from gateway.services.imports.mirror import Mirror
from gateway.services.imports.records import ImportMode
from gateway.services.imports.source import Batch
from gateway.services.principal import COMMAND_LINE
from shared.customer_files.repeated_ids import RepeatedIds
from shared.model_contract import CSV, NDJSON

IMPORTS = "/api/v1/imports"
HEADER = ",".join(body())
POINTER = ["?confirm_missing"]
OLD = now() - timedelta(days=1)


def line(cust_id: str, **changes: Any) -> str:
    return ",".join(map(str, body(cust_id, **changes).values()))


def mirror(gateway: FakeGateway, *lines: str, query: str = "", media_type: str = CSV, end: str = "\n") -> TestResponse:
    content = "\n".join([HEADER, *lines]) + end
    return gateway.client.post(f"{IMPORTS}?mode=mirror{query}", data=content, content_type=media_type)


def newest(gateway: FakeGateway) -> dict[str, Any]:
    found = max(gateway.imports.records)
    return gateway.client.get(f"{IMPORTS}/{found}").json


@pytest.fixture
def filled(gateway: FakeGateway) -> FakeGateway:
    """A gateway with 100 customers of yesterday, C0 to C99."""
    for n in range(100):
        gateway.store.insert_many([{**stored(f"C{n}"), "created_at": OLD, "updated_at": OLD}])
    return gateway


WHOLE = [line(f"C{n}") for n in range(100)]


class TestWhoIsMissing:
    def test_is_deleted_and_can_be_restored(self, filled: FakeGateway) -> None:
        receipt = mirror(filled, *WHOLE[3:], line("N1")).json
        assert (receipt["mode"], receipt["status"], receipt["created"], receipt["deleted"]) == (
            "mirror",
            "completed",
            1,
            3,
        )
        assert receipt["mirror"] == {"stored": 100, "missing": 3, "confirmation_needed": False, "refused": None}
        assert sorted(filled.deleted.copies) == ["C0", "C1", "C2"]
        assert newest(filled)["deleted"] == 3
        assert filled.client.get(IMPORTS).json["items"][0]["deleted"] == 3
        assert filled.client.post(f"{CUSTOMERS}/C1/restore").status_code == 200
        logged = {entry["type"]: entry for entry in filled.logged()}
        assert logged["import.completed"]["data"]["deleted"] == 3
        assert logged["customer.deleted"]["actor"]["kind"] == "api_key"

    def test_a_dry_run_says_so_and_deletes_nobody(self, filled: FakeGateway) -> None:
        receipt = mirror(filled, *WHOLE[3:], query="&dry_run=true").json
        assert (receipt["deleted"], receipt["mirror"]["missing"], len(filled.store.customers)) == (3, 3, 100)
        receipt = mirror(filled, *WHOLE[20:], query="&dry_run=true").json
        assert (receipt["deleted"], receipt["mirror"]["confirmation_needed"]) == (20, True)
        assert receipt["mirror"]["refused"] is None
        assert len(filled.store.customers) == 100

    @pytest.mark.parametrize("query", ["", "&confirm_missing=19", "&confirm_missing=0"])
    def test_above_five_percent_needs_the_exact_number(self, filled: FakeGateway, query: str) -> None:
        answer = mirror(filled, *WHOLE[20:], line("N1"), query=query)
        problem = assert_problem(answer, 409, "mirror_refused", POINTER)
        assert problem["errors"] == [{"pointer": "?confirm_missing", "detail": "must be 20, so many are missing"}]
        kept = newest(filled)
        assert (kept["status"], kept["deleted"], kept["created"]) == ("failed", 0, 1)
        assert kept["reason"].startswith("Nobody was deleted: 20 of 100 stored customers are missing in the file")
        assert len(filled.store.customers) == 101
        assert mirror(filled, *WHOLE[20:], query="&confirm_missing=20").status_code == 409, "N1 is missing by now, too"
        assert mirror(filled, *WHOLE[20:], line("N1"), query="&confirm_missing=20").json["deleted"] == 20
        assert len(filled.store.customers) == 81

    def test_a_number_that_is_said_has_to_be_right_below_five_percent_too(self, filled: FakeGateway) -> None:
        assert_problem(mirror(filled, *WHOLE[2:], query="&confirm_missing=3"), 409, "mirror_refused", POINTER)
        assert len(filled.store.customers) == 100

    def test_new_rows_do_not_make_the_missing_ones_few(self, filled: FakeGateway) -> None:
        new = [line(f"N{n}") for n in range(2_000)]
        assert_problem(mirror(filled, *new), 409, "mirror_refused", POINTER)
        assert len(filled.store.customers) == 2_100

    def test_stays_if_somebody_has_written_it_meanwhile(self, filled: FakeGateway) -> None:
        filled.store.insert_many([{**stored("NEW"), "created_at": now() + timedelta(minutes=1)}])
        filled.store.customers["NEW"]["updated_at"] = filled.store.customers["NEW"]["created_at"]
        filled.store.customers["C0"]["updated_at"] = now() + timedelta(minutes=1)
        receipt = mirror(filled, *WHOLE[2:]).json
        assert (receipt["deleted"], receipt["mirror"]["stored"]) == (1, 100)
        assert {"C0", "NEW"} <= filled.store.customers.keys()


class TestAFileThatIsNotWhole:
    """Whatever is wrong with it, whoever is missing in it stays."""

    @pytest.mark.parametrize(
        ("rows", "why"),
        [
            ([], "the file has no faultless row"),
            ([line(f"C{n}", TENURE=13) for n in range(97)], "the file has no faultless row"),
            ([*WHOLE[3:99], WHOLE[99][:20]], "1 row has no readable CUST_ID"),
            ([*WHOLE[3:99], "?" + WHOLE[99]], "1 row has no readable CUST_ID"),
            (
                [*WHOLE[5:], line("C3", TENURE=13), line("C4", BALANCE=-1)],
                "1% of the rows were refused (2 of 97)",
            ),
            ([*WHOLE[5:], WHOLE[5], WHOLE[6]], "1% of the rows were refused (2 of 97)"),
        ],
    )
    @pytest.mark.parametrize("confirm", ["", "&confirm_missing=100", "&confirm_missing=3"])
    def test_deletes_nobody(self, filled: FakeGateway, rows: list[str], why: str, confirm: str) -> None:
        problem = assert_problem(mirror(filled, *rows, query=confirm), 409, "mirror_refused")
        assert why in problem["detail"]
        assert problem["detail"].startswith("Nothing was stored") == ("no faultless row" in why)
        assert len(filled.store.customers) == 100
        told = mirror(filled, *rows, query="&dry_run=true").json
        assert (told["status"], told["deleted"]) == ("completed", 0)
        assert why in told["mirror"]["refused"]

    @pytest.mark.parametrize("content", ["", HEADER, "x\n1\n", "\ufeff", HEADER.replace("BALANCE,", ",")])
    def test_with_nothing_to_read_deletes_nobody(self, filled: FakeGateway, content: str) -> None:
        answer = filled.unjudged.post(f"{IMPORTS}?mode=mirror&confirm_missing=100", data=content, content_type=CSV)
        assert answer.status_code in (409, 422)
        assert len(filled.store.customers) == 100

    def test_that_breaks_off_deletes_nobody(self, filled: FakeGateway) -> None:
        class Half(CustomerFile):
            def batches(self) -> Iterator[Batch]:
                yield from super().batches()
                raise UploadBroken

        half = Half(CSV, ["\n".join([HEADER, *WHOLE[:50]]).encode()])
        run = filled.services.imports.begin(half, ImportOptions(ImportMode.MIRROR, confirm_missing=50), COMMAND_LINE)
        *_, last = run.progress()
        assert (last["status"], last["mirror"]) == ("interrupted", None)
        assert len(filled.store.customers) == 100

    def test_a_refused_row_keeps_its_customer(self, filled: FakeGateway) -> None:
        receipt = mirror(filled, *WHOLE[1:99], line("C99", TENURE=13), line("N1")).json
        assert (receipt["rejected"], receipt["deleted"]) == (1, 1)
        assert sorted(filled.deleted.copies) == ["C0"]

    def test_that_ends_within_a_line_needs_a_confirmation_of_anybody(self, filled: FakeGateway) -> None:
        problem = assert_problem(mirror(filled, *WHOLE[:99], end=""), 409, "mirror_refused", POINTER)
        assert "1 of 100 stored customers are missing in the file, whose last line has no line end" in problem["detail"]
        assert len(filled.store.customers) == 100
        told = mirror(filled, *WHOLE[:99], end="", query="&dry_run=true").json
        assert told["mirror"]["confirmation_needed"]
        assert [warning["code"] for warning in told["warnings"]][-1] == "last_line_open"
        assert mirror(filled, *WHOLE, end="").json["deleted"] == 0
        assert mirror(filled, *WHOLE[:99], end="", query="&confirm_missing=1").json["deleted"] == 1

    @pytest.mark.parametrize("end", ["\r\n", "\r", "\n\n"])
    def test_has_any_line_end(self, filled: FakeGateway, end: str) -> None:
        assert mirror(filled, *WHOLE[:99], end=end).json["deleted"] == 1

    def test_in_ndjson(self, filled: FakeGateway) -> None:
        answer = filled.client.post(
            f"{IMPORTS}?mode=mirror&confirm_missing=99", data='{"CUST_ID": "C', content_type=NDJSON
        )
        assert answer.status_code in (409, 422)
        assert len(filled.store.customers) == 100


class TestAnInterruption:
    def test_in_the_middle_of_deleting_is_finished_with_the_number_that_is_left(
        self, filled: FakeGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.services.imports.mirror.DELETED_AT_ONCE", 8)
        original = filled.store.delete_many

        def away_at_the_second(cust_ids: Any, filters: Any) -> Any:
            if len(filled.store.customers) < 100:
                raise StoreUnavailable("the database is away")
            return original(cust_ids, filters)

        filled.store.delete_many = away_at_the_second
        answer = filled.client.post(
            f"{IMPORTS}?mode=mirror&confirm_missing=20", data="\n".join([HEADER, *WHOLE[20:]]), content_type=CSV
        )
        assert_problem(answer, 503, "import_interrupted")
        assert (newest(filled)["status"], newest(filled)["deleted"]) == ("interrupted", 8)
        assert len(filled.store.customers) + len(filled.deleted.copies) == 100
        filled.store.delete_many = original
        assert_problem(mirror(filled, *WHOLE[20:], query="&confirm_missing=20"), 409, "mirror_refused", POINTER)
        assert mirror(filled, *WHOLE[20:], query="&confirm_missing=12").json["deleted"] == 12
        assert len(filled.deleted.copies) == 20

    def test_stops_between_two_parts_when_it_is_to(self, filled: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.services.imports.mirror.DELETED_AT_ONCE", 8)
        services = filled.services
        mirror = Mirror(filled.store, services.deletions, ORIGIN, now(), 100, dry_run=False)
        mirror.carry_out(RowCounts(unchanged=1), lambda: mirror.deleted >= 16)
        assert mirror.deleted == len(filled.deleted.copies) == 16


class TestBesideOthers:
    def test_neither_another_mirror_nor_an_import_begins(self, filled: FakeGateway) -> None:
        source = CustomerFile(CSV, ["\n".join([HEADER, *WHOLE[3:], ""]).encode()])
        run = filled.services.imports.begin(source, ImportOptions(ImportMode.MIRROR), COMMAND_LINE)
        problem = assert_problem(mirror(filled, *WHOLE[:97]), 409, "mirror_running")
        assert run.record["id"] in problem["detail"]
        data = "\n".join([HEADER, WHOLE[0]])
        assert_problem(filled.client.post(IMPORTS, data=data, content_type=CSV), 409, "mirror_running")
        assert_problem(filled.client.post("/api/v1/sample"), 409, "mirror_running")
        assert mirror(filled, *WHOLE, query="&dry_run=true").status_code == 201
        *_, last = run.progress()
        assert (last["status"], last["deleted"]) == ("completed", 3)
        assert filled.client.post(IMPORTS, data=data, content_type=CSV).status_code == 201

    def test_it_begins_beside_none_that_runs_but_beside_a_dead_one(self, filled: FakeGateway) -> None:
        record = filled.services.imports.begin(
            CustomerFile(CSV, [HEADER.encode()]), ImportOptions(), COMMAND_LINE
        ).record
        assert_problem(mirror(filled, *WHOLE), 409, "import_running")
        filled.imports.records[record["id"]]["updated_at"] = OLD
        assert mirror(filled, *WHOLE).status_code == 201

    def test_one_that_was_given_up_deletes_nobody_more(
        self, filled: FakeGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.services.imports.mirror.DELETED_AT_ONCE", 2)
        original = filled.store.delete_many

        def held_up(cust_ids: Any, filters: Any) -> Any:
            filled.imports.interrupt_stale(-1, "died")
            return original(cust_ids, filters)

        filled.store.delete_many = held_up
        mirror(filled, *WHOLE[4:])
        assert len(filled.deleted.copies) == 2
        assert newest(filled)["status"] == "interrupted"


def test_only_a_mirror_takes_a_confirmation(gateway: FakeGateway) -> None:
    answer = gateway.client.post(f"{IMPORTS}?confirm_missing=1", data=HEADER, content_type=CSV)
    problem = assert_problem(answer, 422, "validation_failed", POINTER)
    assert problem["errors"][0]["detail"] == "can only be given with mode=mirror"


def test_known_ids() -> None:
    seen = RepeatedIds()
    assert seen.known(["A"]) == [False]
    for some in (["A", "B"], [f"C{n}" for n in range(1_000)], ["D"]):
        seen.note(some, [0] * len(some))
    assert seen.known(["A", "X", "C999", "D", "C1000"]) == [True, False, True, True, False]
    assert seen.known([]) == []
