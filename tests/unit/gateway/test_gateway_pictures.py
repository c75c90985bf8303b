"""Reports, pictures and analyses over HTTP."""

from __future__ import annotations

import threading

import pytest
from fakes.gateway import MODELS, FakeGateway
from fakes.registry import ETAG, MARKETING, NEW, OLD, POLICY, REPORT, SVG
from support.customers import stored
from support.problems import assert_problem

from gateway.services.customers.store import Block
from gateway.services.errors import StoreUnavailable
from gateway.services.models import analyses
from gateway.settings import Settings
from shared.features import INPUT_NAMES

ACTIVE = f"{MODELS}/active"


class TestReport:
    def test_is_a_page_that_loads_nothing(self, gateway: FakeGateway) -> None:
        answer = gateway.client.get(f"{ACTIVE}/report")
        assert (answer.status_code, answer.data) == (200, REPORT)
        assert answer.content_type == "text/html; charset=utf-8"
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert (answer.headers["ETag"], answer.headers["Cache-Control"]) == (ETAG, "private")

    def test_has_an_edition_for_marketing(self, gateway: FakeGateway) -> None:
        answer = gateway.client.get(f"{ACTIVE}/report", query_string={"edition": "marketing"})
        assert (answer.status_code, answer.data) == (200, MARKETING)
        assert gateway.client.get(f"{ACTIVE}/report", query_string={"edition": "validation"}).data == REPORT

    def test_has_no_other_edition(self, gateway: FakeGateway) -> None:
        answer = gateway.client.get(f"{ACTIVE}/report", query_string={"edition": "poetry"})
        assert_problem(answer, 422, "validation_failed", ["?edition"])


class TestPlots:
    def test_are_listed_with_the_gateways_addresses(self, gateway: FakeGateway) -> None:
        (plot,) = gateway.client.get(f"{MODELS}/{OLD}/plots").json["items"]
        base = f"{MODELS}/{OLD}/plots/elbow"
        assert plot == {"name": "elbow", "title": "Elbow", "svg": f"{base}.svg", "png": f"{base}.png"}
        assert gateway.client.get(plot["svg"]).status_code == 200

    @pytest.mark.parametrize(("kind", "media_type"), [("svg", "image/svg+xml"), ("png", "image/png")])
    def test_one(self, gateway: FakeGateway, kind: str, media_type: str) -> None:
        answer = gateway.client.get(f"{ACTIVE}/plots/elbow.{kind}")
        assert (answer.status_code, answer.mimetype, answer.data) == (200, media_type, SVG)
        assert (answer.headers["ETag"], answer.headers["Cache-Control"]) == (ETAG, "immutable")

    def test_one_that_is_not_there(self, gateway: FakeGateway) -> None:
        assert_problem(gateway.client.get(f"{ACTIVE}/plots/moon.svg"), 404, "plot_not_found")

    @pytest.mark.parametrize("path", [f"{ACTIVE}/plots/elbow.png", f"{ACTIVE}/report"])
    def test_are_not_sent_to_who_has_them(self, gateway: FakeGateway, path: str) -> None:
        answer = gateway.client.get(path, headers={"If-None-Match": ETAG})
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", ETAG)
        assert gateway.client.get(path, headers={"If-None-Match": '"another"'}).status_code == 200


def _peopled(count: int = 5) -> FakeGateway:
    gateway = FakeGateway()
    gateway.store.insert_many([stored(f"C{n}", BALANCE=float(n), CREDIT_LIMIT=None) for n in range(count)])
    return gateway


def _columns(blocks: list[Block], name: str) -> list[object]:
    return [value for block in blocks for value in block.columns[name]]


@pytest.mark.parametrize("analysis", ["preview", "drift"])
class TestAnalyses:
    def test_see_every_stored_customer_in_blocks(self, analysis: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(analyses, "BLOCK_ROWS", 2)
        gateway = _peopled()
        answer = gateway.client.get(f"{MODELS}/{NEW}/{analysis}")
        assert (answer.status_code, answer.json["rows"]) == (200, 5)
        blocks = gateway.registry.blocks
        assert [block.ids for block in blocks] == [["C0", "C1"], ["C2", "C3"], ["C4"]]
        assert {tuple(block.columns) for block in blocks} == {INPUT_NAMES}
        assert _columns(blocks, "BALANCE") == [0.0, 1.0, 2.0, 3.0, 4.0]
        assert _columns(blocks, "CREDIT_LIMIT") == [None] * 5

    def test_of_nobody(self, gateway: FakeGateway, analysis: str) -> None:
        assert gateway.client.get(f"{ACTIVE}/{analysis}").json["rows"] == 0

    def test_leave_out_and_name_those_who_lack_a_feature(self, analysis: str) -> None:
        gateway = _peopled()
        for cust_id in ("C1", "C3"):
            del gateway.store.customers[cust_id]["TENURE"]
        answer = gateway.client.get(f"{ACTIVE}/{analysis}").json
        assert answer["rows"] == 3
        assert answer["remarks"][-1].startswith("2 stored customers lack a feature")
        assert [block.ids for block in gateway.registry.blocks] == [["C0", "C2", "C4"]]
        assert _columns(gateway.registry.blocks, "BALANCE") == [0.0, 2.0, 4.0]

    @pytest.mark.parametrize(("kind", "media_type"), [("svg", "image/svg+xml"), ("png", "image/png")])
    def test_can_be_drawn(self, analysis: str, kind: str, media_type: str) -> None:
        gateway = _peopled()
        answer = gateway.client.get(f"{ACTIVE}/{analysis}?format={kind}")
        assert (answer.status_code, answer.mimetype, answer.data) == (200, media_type, SVG)
        drawn = {"preview": "transitions", "drift": "drift"}[analysis]
        assert gateway.registry.orders == [("draw", drawn, {"kind": kind})]
        assert gateway.client.get(f"{ACTIVE}/{analysis}?format=json").mimetype == "application/json"

    @pytest.mark.parametrize(
        ("query", "pointer"), [("format=pdf", "?format"), ("format=", "?format"), ("segment=x", "?segment")]
    )
    def test_with_a_query_that_breaks_the_rules(self, analysis: str, query: str, pointer: str) -> None:
        gateway = _peopled()
        answer = gateway.client.get(f"{ACTIVE}/{analysis}?{query}")
        assert_problem(answer, 422, "validation_failed", [pointer])
        assert gateway.registry.blocks == []

    def test_come_no_more_at_a_time_than_half_of_the_threads(self, analysis: str) -> None:
        gateway = _peopled()
        gateway.settings = Settings(threads=3)
        others = []

        def ask_again() -> None:
            gateway.registry.meanwhile = lambda: None
            others.extend(gateway.client.get(f"{ACTIVE}/{other}") for other in ("preview", "drift"))

        gateway.registry.meanwhile = lambda: _in_a_thread(ask_again)
        assert gateway.client.get(f"{ACTIVE}/{analysis}").status_code == 200
        for answer in others:
            assert_problem(answer, 503, "analysis_busy")
            assert answer.headers["Retry-After"] == "1"
        assert len(others) == 2
        assert gateway.client.get(f"{ACTIVE}/{analysis}").status_code == 200

    def test_that_fail_make_room_for_the_next(self, analysis: str) -> None:
        gateway = _peopled()
        gateway.store.failure = StoreUnavailable("the database cannot be reached")
        assert_problem(gateway.client.get(f"{ACTIVE}/{analysis}"), 503, "store_unavailable")
        gateway.store.failure = None
        assert gateway.client.get(f"{ACTIVE}/{analysis}").status_code == 200


def _in_a_thread(task: object) -> None:
    thread = threading.Thread(target=task)  # type: ignore[arg-type]
    thread.start()
    thread.join()
