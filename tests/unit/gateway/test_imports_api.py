"""Imports over HTTP, on fakes: what is taken, what is answered, and what is refused."""

from __future__ import annotations

import gzip
import io
import json
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from fakes.gateway import FakeGateway
from fakes.model import DOWN
from support.customers import body
from support.problems import assert_problem
from werkzeug.test import TestResponse

from gateway.services.errors import StoreError, StoreUnavailable
from gateway.services.imports.background import AT_ONCE, SHARE
from gateway.services.imports.records import DETAILS, ImportSummary
from shared.features import CUST_ID, INPUTS
from shared.model_contract import CSV, NDJSON

IMPORTS = "/api/v1/imports"
HEADER = ",".join(body())
COUNTS = ("rows", "created", "updated", "unchanged", "rejected", "pending")


def line(cust_id: str, **changes: Any) -> str:
    return ",".join(map(str, body(cust_id, **changes).values()))


FILE = "\n".join([HEADER, line("A"), line("B", TENURE=13), line("C")])


def send(
    gateway: FakeGateway, content: str | bytes = FILE, media_type: str = CSV, query: str = "", **headers: str
) -> TestResponse:
    return gateway.client.post(f"{IMPORTS}{query}", data=content, content_type=media_type, headers=headers)


def get(gateway: FakeGateway, answer: TestResponse) -> dict[str, Any]:
    return gateway.client.get(answer.headers["Location"]).get_json()


def wait_for(look: Callable[[], Any]) -> Any:
    """Return what another thread brings about."""
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        if found := look():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not come about")


def counts(receipt: dict[str, Any]) -> list[int]:
    return [receipt[name] for name in COUNTS]


class TestInTheBackground:
    def test_goes_on_after_the_answer(self, gateway: FakeGateway) -> None:
        answer = send(gateway, query="?background=true&name=a.csv")
        assert (answer.status_code, answer.get_json()["status"]) == (202, "running")
        ended = wait_for(lambda: found if (found := get(gateway, answer))["status"] != "running" else None)
        assert (ended["status"], counts(ended), ended["name"]) == ("completed", [3, 2, 0, 0, 1, 0], "a.csv")

    def test_a_file_that_cannot_be_read_is_refused_at_once(self, gateway: FakeGateway) -> None:
        for _ in range(AT_ONCE + 1):  # and holds no place
            assert_problem(send(gateway, "x\n1\n", query="?background=true"), 422, "validation_failed", _missing())

    def test_no_more_than_a_few_at_a_time(self, gateway: FakeGateway) -> None:
        go_on = Event()
        stored = gateway.store.get_many
        gateway.store.get_many = lambda ids: (go_on.wait(20), stored(ids))[1]
        begun = [send(gateway, query="?background=true") for _ in range(SHARE)]
        try:
            assert [answer.status_code for answer in begun] == [202] * SHARE
            assert_problem(send(gateway, query="?background=true"), 503, "analysis_busy")
        finally:
            go_on.set()
        assert wait_for(lambda: all(get(gateway, answer)["status"] == "completed" for answer in begun) or None)
        assert wait_for(lambda: send(gateway, query="?background=true").status_code == 202 or None)

    def test_an_error_of_ours_is_told(self, gateway: FakeGateway) -> None:
        def fail(_ids: object) -> None:
            raise KeyError("a slip")

        gateway.store.get_many = fail
        answer = send(gateway, query="?background=true")
        ended = wait_for(lambda: found if (found := get(gateway, answer))["status"] != "running" else None)
        assert (ended["status"], ended["reason"]) == ("failed", "An internal error; see the log.")


class TestAFile:
    @pytest.mark.parametrize("charset", ["UTF-8", "utf8", '"Utf-8"', "us-ascii", "ASCII"])
    def test_may_say_that_it_is_utf_8(self, gateway: FakeGateway, charset: str) -> None:
        assert send(gateway, media_type=f"{CSV}; charset={charset}").status_code == 201

    @pytest.mark.parametrize("coding", ["identity", "Identity", " IDENTITY ", "identity, identity", ""])
    def test_may_say_that_it_is_not_compressed(self, gateway: FakeGateway, coding: str) -> None:
        assert send(gateway, **{"Content-Encoding": coding}).status_code == 201

    @pytest.mark.parametrize("charset", ["utf8", "UTF_8", '"utf-8"', "us-ascii", "ANSI_X3.4-1968"])
    def test_may_spell_utf_8_as_it_likes(self, gateway: FakeGateway, charset: str) -> None:
        assert send(gateway, media_type=f"{CSV};charset={charset}").status_code == 201

    def test_may_be_tab_separated(self, gateway: FakeGateway) -> None:
        receipt = send(gateway, FILE.replace(",", "\t"), "text/tab-separated-values; charset=utf-8").get_json()
        assert counts(receipt) == [3, 2, 0, 0, 1, 0]

    def test_is_told_with_how_it_was_read(self, gateway: FakeGateway) -> None:
        header = HEADER.replace(CUST_ID, "Account").replace("TENURE", "tenure")
        content = "\n".join(
            [f"{header},Note", line("A", MINIMUM_PAYMENTS="NA") + ",x", "," * 18, line("B") + ",", "  "]
        )
        receipt = send(gateway, content, query="?columns=CUST_ID:Account").get_json()
        assert counts(receipt) == [2, 2, 0, 0, 0, 0]
        assert {"column": CUST_ID, "read_from": "Account"} in receipt["columns"]
        assert {"column": "TENURE", "read_from": "tenure"} in receipt["columns"]
        assert [c["column"] for c in receipt["columns"]] == [CUST_ID, *(f.name for f in INPUTS)]
        assert (receipt["ignored_columns"], receipt["blank_rows"]) == (["Note"], 2)
        assert receipt["missing_words"] == {"NA": 1}
        found = gateway.client.get(f"{IMPORTS}/{receipt['id']}").get_json()
        assert {name: found[name] for name in ("columns", "blank_rows", "missing_words")} == {
            name: receipt[name] for name in ("columns", "blank_rows", "missing_words")
        }

    def test_is_stored_and_its_receipt_answered(self, gateway: FakeGateway) -> None:
        answer = send(gateway, query="?name=a.csv")
        receipt = answer.get_json()
        assert answer.status_code == 201
        assert answer.headers["Location"] == f"{IMPORTS}/{receipt['id']}"
        assert sorted(gateway.store.customers) == ["A", "C"]
        assert counts(receipt) == [3, 2, 0, 0, 1, 0]
        assert (receipt["status"], receipt["name"], receipt["reason"]) == ("completed", "a.csv", None)
        assert receipt["bytes"] == receipt["size"] == len(FILE)
        assert receipt["errors"] == [{"line": 3, "column": "TENURE", "detail": "must be at most 12"}]
        assert receipt["errors_url"] == f"{IMPORTS}/{receipt['id']}/errors"
        assert receipt["by"]["kind"] == "api_key"
        assert receipt["finished_at"].endswith("Z")
        assert set(receipt) == {*ImportSummary.__annotations__, *DETAILS, "errors_url"}

    def test_is_shown_by_its_resource(self, gateway: FakeGateway) -> None:
        receipt = send(gateway).get_json()
        found = gateway.client.get(f"{IMPORTS}/{receipt['id']}").get_json()
        assert {**found, "updated_at": None} == {**receipt, "updated_at": None}

    def test_of_ndjson(self, gateway: FakeGateway) -> None:
        content = "\n".join([json.dumps(body("A")), "{", json.dumps(body("C"))])
        receipt = send(gateway, content, NDJSON).get_json()
        assert counts(receipt) == [3, 2, 0, 0, 1, 0]
        assert receipt["errors"][0]["line"] == 2

    def test_may_be_larger_than_other_bodies(self, gateway: FakeGateway) -> None:
        gateway.settings = gateway.settings.model_copy(update={"max_body_bytes": 1024})
        content = "\n".join([HEADER, *(line(f"C{n}") for n in range(100))])
        assert send(gateway, content).get_json()["created"] == 100

    def test_with_a_parameter_of_its_media_type(self, gateway: FakeGateway) -> None:
        assert send(gateway, media_type="text/csv; charset=utf-8; header=present").status_code == 201

    def test_inserts_only_where_that_is_wanted(self, gateway: FakeGateway) -> None:
        send(gateway)
        receipt = send(gateway, query="?mode=insert").get_json()
        assert counts(receipt) == [3, 0, 0, 0, 3, 0]
        assert {error["detail"] for error in receipt["errors"]} == {"already exists", "must be at most 12"}

    def test_is_only_judged_in_a_dry_run(self, gateway: FakeGateway) -> None:
        receipt = send(gateway, query="?dry_run=true").get_json()
        assert (counts(receipt), receipt["dry_run"]) == ([3, 2, 0, 0, 1, 0], True)
        assert gateway.store.customers == {}

    def test_without_the_model_is_stored_as_pending(self, gateway: FakeGateway) -> None:
        gateway.model.failure = DOWN
        assert counts(send(gateway).get_json()) == [3, 2, 0, 0, 1, 2]

    def test_is_told_of(self, gateway: FakeGateway) -> None:
        receipt = send(gateway).get_json()
        told = gateway.outboxes.entries()
        assert [entry["type"] for entry in told] == ["import.started", "import.completed"]
        assert {(entry["subject"]["id"], entry["actor"]["kind"]) for entry in told} == {(receipt["id"], "api_key")}
        listed = gateway.client.get(told[-1]["data"]["list"]).get_json()["items"]
        assert [item["CUST_ID"] for item in listed] == sorted(gateway.store.customers)


class TestAStream:
    @pytest.mark.parametrize(
        "accept",
        [
            NDJSON,
            f"{NDJSON}; charset=utf-8",
            "Application/X-NDJSON;q=1.0",
            f"*/*;q=0.1, {NDJSON}",
            f"{NDJSON}, */*;q=0.5",
        ],
    )
    def test_ends_with_the_receipt(self, gateway: FakeGateway, accept: str) -> None:
        answer = send(gateway, Accept=accept)
        assert (answer.status_code, answer.content_type) == (201, NDJSON)
        *shown, last = [json.loads(text) for text in answer.text.splitlines()]
        assert answer.headers["Location"] == f"{IMPORTS}/{last['id']}"
        assert (last["status"], counts(last)) == ("completed", [3, 2, 0, 0, 1, 0])
        assert {one["status"] for one in shown} <= {"running"}

    @pytest.mark.parametrize("accept", ["application/json", "*/*", "application/x-ndjson;q=0.5, application/json", ""])
    def test_is_for_those_who_ask_for_it(self, gateway: FakeGateway, accept: str) -> None:
        assert send(gateway, Accept=accept).content_type == "application/json"

    def test_that_cannot_begin_is_a_plain_problem(self, gateway: FakeGateway) -> None:
        assert_problem(send(gateway, "A\n1\n", Accept=NDJSON), 422, "validation_failed", _missing())
        assert_problem(send(gateway, FILE, "text/html", Accept=NDJSON), 415, "unsupported_media_type")

    def test_that_is_interrupted_says_so_in_its_last_line(self, gateway: FakeGateway) -> None:
        gateway.store.failure = StoreUnavailable("the database cannot be reached")
        last = json.loads(send(gateway, Accept=NDJSON).text.splitlines()[-1])
        assert (last["status"], last["reason"]) == ("interrupted", "the database cannot be reached")


def _missing() -> list[str]:
    return [f"/{name}" for name in (CUST_ID, *(f.name for f in INPUTS if not f.nullable))]


class TestWhatCannotBegin:
    @pytest.mark.parametrize(
        ("query", "pointers"),
        [
            ("?mode=replace", ["?mode"]),
            ("?dry_run=yes", ["?dry_run"]),
            ("?name=", ["?name"]),
            ("?name=a%0Ab", ["?name"]),
            (f"?name={'x' * 201}", ["?name"]),
            ("?mode=x&dry_run=x&name=", ["?mode", "?dry_run", "?name"]),
            ("?mode=insert&mode=insert", ["?mode"]),
            ("?delimiter=;", ["?delimiter"]),
            ("?columns=", ["?columns"]),
            ("?columns=BALANCE", ["?columns"]),
            ("?columns=SALDO:x", ["?columns"]),
            ("?columns=BALANCE:x,BALANCE:y", ["?columns"]),
        ],
    )
    def test_for_its_query(self, gateway: FakeGateway, query: str, pointers: list[str]) -> None:
        assert_problem(send(gateway, query=query), 422, "validation_failed", pointers)

    def test_for_its_header(self, gateway: FakeGateway) -> None:
        assert_problem(send(gateway, "BALANCE\n1\n"), 422, "validation_failed", sorted(set(_missing()) - {"/BALANCE"}))
        assert_problem(send(gateway, f"{HEADER},balance\n"), 422, "validation_failed", ["/BALANCE"])

    def test_for_a_header_that_is_shown_as_it_was_read(self, gateway: FakeGateway) -> None:
        problem = assert_problem(send(gateway, "BALANCE#PAYMENTS\n1#2\n"), 422, "validation_failed", _missing())
        assert "line 1 was read as 1 column, 'BALANCE#PAYMENTS'" in problem["detail"]
        answer = send(gateway, FILE, query="?columns=BALANCE:Saldo")
        assert "'Saldo', which is missing" in assert_problem(answer, 422, "validation_failed", ["/BALANCE"])["detail"]

    @pytest.mark.parametrize("media_type", [CSV, NDJSON])
    def test_for_its_encoding(self, gateway: FakeGateway, media_type: str) -> None:
        assert_problem(send(gateway, FILE.encode("utf-16"), media_type), 422, "validation_failed", [""])

    @pytest.mark.parametrize("media_type", ["application/json", "text/plain", "multipart/form-data", ""])
    def test_for_its_media_type(self, gateway: FakeGateway, media_type: str) -> None:
        answer = send(gateway, media_type=media_type)
        assert_problem(answer, 415, "unsupported_media_type")
        assert CSV in answer.headers["Accept"]

    def test_for_its_charset(self, gateway: FakeGateway) -> None:
        answer = send(gateway, media_type=f"{CSV}; charset=iso-8859-1")
        assert "utf-8" in assert_problem(answer, 415, "unsupported_media_type")["detail"]

    def test_for_being_packed(self, gateway: FakeGateway) -> None:
        answer = send(gateway, gzip.compress(FILE.encode()), **{"Content-Encoding": "gzip"})
        assert_problem(answer, 415, "unsupported_media_type")
        assert answer.headers["Accept-Encoding"] == "identity"

    def test_for_being_empty(self, gateway: FakeGateway) -> None:
        for media_type in (CSV, NDJSON):
            assert_problem(send(gateway, b"", media_type), 422, "validation_failed", [""])

    def test_for_its_size(self, gateway: FakeGateway) -> None:
        gateway.settings = gateway.settings.model_copy(update={"max_upload_bytes": 1024})
        assert_problem(send(gateway, HEADER + "\n" * 1024), 413, "body_too_large")

    def test_for_an_unknown_size(self, gateway: FakeGateway) -> None:
        answer = gateway.client.post(
            IMPORTS,
            input_stream=io.BytesIO(FILE.encode()),
            content_type=CSV,
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input_terminated": True},
        )
        assert_problem(answer, 411, "length_required")

    def test_for_the_database(self, gateway: FakeGateway) -> None:
        gateway.imports.failure = StoreUnavailable("the database cannot be reached")
        assert_problem(send(gateway), 503, "store_unavailable")
        assert gateway.store.customers == {}

    @pytest.fixture(autouse=True)
    def _leaves_nothing(self, gateway: FakeGateway) -> Iterator[None]:
        yield
        assert gateway.imports.records == {}


class TestAnInterruption:
    def test_by_the_database_is_a_503_that_names_the_import(self, gateway: FakeGateway) -> None:
        gateway.store.failure = StoreUnavailable("the database cannot be reached")
        problem = assert_problem(send(gateway), 503, "import_interrupted")
        (record,) = gateway.imports.records.values()
        assert record["id"] in problem["detail"]
        assert record["status"] == "interrupted"

    def test_by_a_refusal_is_a_500(self, gateway: FakeGateway) -> None:
        gateway.store.failure = StoreError("the database refused the operation")
        assert_problem(send(gateway), 500, "import_failed")

    @staticmethod
    def _broken_off(gateway: FakeGateway, content: bytes) -> TestResponse:
        length = {"CONTENT_LENGTH": str(len(content) + 1)}
        stream = io.BytesIO(content)
        return gateway.client.post(IMPORTS, input_stream=stream, content_type=CSV, environ_overrides=length)

    def test_by_a_body_that_breaks_off_before_its_first_block(self, gateway: FakeGateway) -> None:
        assert_problem(self._broken_off(gateway, FILE.encode()), 400, "upload_broken")
        assert gateway.imports.records == {}

    def test_by_a_body_that_breaks_off_later(self, gateway: FakeGateway) -> None:
        rows = [f"{'x' * 60_000},{line(f'C{n}')}" for n in range(30)]
        content = "\n".join([f"Note,{HEADER}", *rows]).encode()
        assert_problem(self._broken_off(gateway, content), 503, "import_interrupted")
        (record,) = gateway.imports.records.values()
        assert record["rows"] == record["created"] == len(gateway.store.customers)
        assert (record["status"], record["reason"]) == ("interrupted", "The upload ended before the end of the file.")


class TestTheResources:
    def test_the_list_is_newest_first_in_pages(self, gateway: FakeGateway) -> None:
        ids = sorted([send(gateway).get_json()["id"] for _ in range(3)], reverse=True)
        answer = gateway.client.get(f"{IMPORTS}?limit=2")
        first = answer.get_json()
        assert [item["id"] for item in first["items"]] == ids[:2]
        assert all(not set(DETAILS) & set(item) and item["errors_url"] for item in first["items"])
        link = answer.headers["Link"]
        assert link.endswith('rel="next"')
        rest = gateway.client.get(link[1 : link.index(">")]).get_json()
        assert ([item["id"] for item in rest["items"]], rest["next_cursor"]) == (ids[2:], None)

    def test_errors_are_csv(self, gateway: FakeGateway) -> None:
        receipt = send(gateway).get_json()
        answer = gateway.client.get(receipt["errors_url"])
        assert answer.mimetype == CSV
        assert answer.text == "line,column,detail\r\n3,TENURE,must be at most 12\r\n"
        assert receipt["id"] in answer.headers["Content-Disposition"]

    def test_errors_of_none_are_a_header(self, gateway: FakeGateway) -> None:
        receipt = send(gateway, f"{HEADER}\n{line('A')}\n").get_json()
        assert gateway.client.get(receipt["errors_url"]).text == "line,column,detail\r\n"

    def test_what_is_not_there(self, gateway: FakeGateway) -> None:
        for address in ("x", "20300101T000000.000Z-00000000", "x/errors"):
            assert_problem(gateway.client.get(f"{IMPORTS}/{address}"), 404, "import_not_found")
        assert_problem(gateway.client.post(f"{IMPORTS}/x/cancel"), 404, "import_not_found")

    def test_a_cancel_comes_too_late(self, gateway: FakeGateway) -> None:
        receipt = send(gateway).get_json()
        assert_problem(gateway.client.post(f"{IMPORTS}/{receipt['id']}/cancel"), 409, "import_ended")

    def test_a_cancel_of_a_running_import(self, gateway: FakeGateway) -> None:
        receipt = send(gateway).get_json()
        gateway.imports.records[receipt["id"]]["status"] = "running"
        answer = gateway.client.post(f"{IMPORTS}/{receipt['id']}/cancel")
        assert answer.status_code == 202
        assert answer.get_json()["cancel_requested"] is True
        assert answer.get_json()["errors_url"] == receipt["errors_url"]

    def test_nothing_that_is_kept_holds_an_id_of_the_file(self, gateway: FakeGateway) -> None:
        """A person's right to erasure need not reach here."""
        wrong = [line("SECRET1", BALANCE="SECRET2"), "SECRET3", line("SECRET 4"), '"SECRET5', line("SECRET1")]
        good = [line("SECRET6"), line("SECRET6")]
        sent = "\n".join([HEADER, *wrong, *good])
        receipt = send(gateway, sent)
        objects = [{"SECRET7": 1}, {**body("SECRET8"), "TENURE": "SECRET9"}, {**body(), CUST_ID: "SECRET 10"}]
        others = send(gateway, "\n".join([*map(json.dumps, objects), '{"SECRET11', '{"S12": 1, "S12": 2}']), NDJSON)
        for answer, rejected in ((receipt, 5), (others, 5)):
            found = answer.get_json()
            assert found["rejected"] == rejected
            errors = gateway.client.get(found["errors_url"]).text
            assert "SECRET" not in answer.text + errors
            assert "S12" not in answer.text + errors
        assert "SECRET" not in repr(gateway.imports.records) + repr(gateway.imports._faults)
