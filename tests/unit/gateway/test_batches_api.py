"""Batches of customers over HTTP, on fakes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.model import DOWN
from hypothesis import given, settings
from hypothesis import strategies as st
from support.customers import body, faultless, inputs
from support.problems import assert_problem

from gateway.controllers.customers import REFUSALS
from gateway.middleware.errors import STATUSES
from gateway.services.customers.batches import MAX_ROWS
from gateway.services.errors import StoreUnavailable
from gateway.settings import Settings
from shared.features import CUST_ID, complete
from shared.problems import Problem

BATCH = f"{CUSTOMERS}/batch"


def send(gateway: FakeGateway, *rows: Any, query: str = "") -> dict[str, Any]:
    answer = gateway.client.post(BATCH + query, json={"customers": rows})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    assert len(found["results"]) == len(rows)
    said = [result["status"] for result in found["results"]]
    assert {name: count for name, count in found.items() if name != "results"} == {
        status: said.count(status) for status in ("created", "updated", "unchanged", "rejected")
    }
    return found


def refused(result: dict[str, Any], status: int, code: str, pointers: list[str] | None = None) -> Problem:
    problem: Problem = result["error"]
    assert (result["status"], result["revision"], result["segment_status"]) == ("rejected", None, None)
    assert (problem["status"], problem["code"]) == (status, code)
    assert [error["pointer"] for error in problem.get("errors", [])] == (pointers or [])
    assert problem["request_id"]
    return problem


class TestUpsert:
    def test_answers_a_verdict_for_every_row_in_order(self, gateway: FakeGateway) -> None:
        for cust_id in ("old", "same"):
            gateway.client.post(CUSTOMERS, json=body(cust_id))
        found = send(gateway, body("old", BALANCE=5_000), body("new"), {CUST_ID: "bad"}, body("same"))
        assert [(r[CUST_ID], r["status"]) for r in found["results"]] == [
            ("old", "updated"),
            ("new", "created"),
            ("bad", "rejected"),
            ("same", "unchanged"),
        ]
        assert (found["created"], found["updated"], found["unchanged"], found["rejected"]) == (1, 1, 1, 1)
        for result in found["results"]:
            if result["status"] != "rejected":
                stored = gateway.client.get(f"{CUSTOMERS}/{result[CUST_ID]}").json
                assert (result["revision"], result["segment_status"]) == (stored["revision"], "assigned")
        assert gateway.client.get(f"{CUSTOMERS}/old").json["segment"]["id"] == "seg-02"

    def test_is_scored_in_one_call_within_the_deadline_of_a_write(self, gateway: FakeGateway) -> None:
        send(gateway, *(body(f"C{n}") for n in range(5)))
        assert gateway.model.calls == [("score", 5)]
        assert gateway.model.deadlines == [gateway.settings.assignment_deadline]

    def test_needs_no_model(self, gateway: FakeGateway) -> None:
        gateway.model.failure = DOWN
        (result,) = send(gateway, body())["results"]
        assert (result["status"], result["segment_status"]) == ("created", "pending")

    def test_warns_of_what_looks_odd(self, gateway: FakeGateway) -> None:
        odd, plain = send(gateway, body("A", AVERAGE_PURCHASE_TRX=1.0), body("B"))["results"]
        assert ([w["code"] for w in odd["warnings"]], plain["warnings"]) == (["derived_differs"], [])

    def test_a_full_batch_of_long_numbers_fits_into_a_body(self, gateway: FakeGateway) -> None:
        longest = {name: 0.1234567890123456 for name, value in inputs().items() if isinstance(value, float)}
        found = send(gateway, *(body(f"{n:064}", **longest) for n in range(MAX_ROWS)))
        assert found["created"] == MAX_ROWS == 1_000


class TestRejected:
    def test_each_fault_of_a_row_is_named_with_its_place(self, gateway: FakeGateway) -> None:
        results = send(
            gateway, body("A"), body("B", BALANCE=-1, TENURE=13), body("B", FOO=1), {**body(), CUST_ID: "a b"}, 5, None
        )["results"]
        refused(results[1], 422, "validation_failed", ["/customers/1/BALANCE", "/customers/1/TENURE"])
        refused(results[2], 422, "validation_failed", ["/customers/2/FOO"])
        refused(results[3], 422, "validation_failed", [f"/customers/3/{CUST_ID}"])
        for place in (4, 5):
            refused(results[place], 422, "validation_failed", [f"/customers/{place}"])
        assert [r[CUST_ID] for r in results] == ["A", "B", "B", None, None, None]
        assert list(gateway.store.customers) == ["A"]

    def test_a_repeated_id_is_written_once_the_first_time_it_is_faultless(self, gateway: FakeGateway) -> None:
        results = send(gateway, body("A", BALANCE=-1), body("A", BALANCE=2), body("B"), body("A", BALANCE=3))["results"]
        assert [r["status"] for r in results] == ["rejected", "created", "created", "rejected"]
        refused(results[3], 422, "duplicate_in_batch")
        assert gateway.store.customers["A"]["BALANCE"] == 2.0

    def test_inserting_leaves_those_alone_that_exist(self, gateway: FakeGateway) -> None:
        gateway.client.post(CUSTOMERS, json=body("A"))
        old, new = send(gateway, body("A", BALANCE=5), body("B"), query="?mode=insert")["results"]
        refused(old, 409, "customer_exists")
        assert (new["status"], gateway.store.customers["A"]["BALANCE"]) == ("created", 100.0)

    def test_a_row_may_name_the_revision_it_changes(self, gateway: FakeGateway) -> None:
        revisions = {i: gateway.client.post(CUSTOMERS, json=body(i)).json["revision"] for i in "AB"}
        known, stale, nobody = send(
            gateway,
            body("A", BALANCE=5, if_revision=revisions["A"]),
            body("B", BALANCE=5, if_revision=revisions["A"]),
            body("C", if_revision="any"),
        )["results"]
        assert known["status"] == "updated"
        refused(stale, 412, "revision_mismatch")
        refused(nobody, 412, "revision_mismatch")
        assert gateway.store.customers["B"]["BALANCE"] == 100.0

    @pytest.mark.parametrize(("revision", "query"), [(5, ""), (None, ""), ("any", "?mode=insert")])
    def test_revisions_that_make_no_sense(self, gateway: FakeGateway, revision: object, query: str) -> None:
        (result,) = send(gateway, body("A", if_revision=revision), query=query)["results"]
        refused(result, 422, "validation_failed", ["/customers/0/if_revision"])

    def test_where_revisions_are_required(self) -> None:
        gateway = FakeGateway(settings=Settings(require_if_match=True))
        revision = gateway.client.post(CUSTOMERS, json=body("A")).json["revision"]
        refused(send(gateway, body("A", BALANCE=5))["results"][0], 428, "precondition_required")
        found = send(gateway, body("A", BALANCE=5, if_revision=revision), body("B"))
        assert (found["updated"], found["created"]) == (1, 1)

    def test_as_a_request_with_that_customer_alone_would_be(self) -> None:
        assert {kind: STATUSES[kind] for kind in REFUSALS} == REFUSALS


class TestRefusedAsAWhole:
    @pytest.mark.parametrize(
        "sent",
        [
            [],
            {},
            {"customers": []},
            {"customers": {}},
            {"customers": [body()], "mode": "insert"},
            {"customers": [body()] * (MAX_ROWS + 1)},
            "customers",
            None,
        ],
        ids=["array", "empty", "no-rows", "object", "more", "too-many", "string", "null"],
    )
    def test_what_is_no_batch(self, gateway: FakeGateway, sent: Any) -> None:
        answer = gateway.send("POST", BATCH, orjson.dumps(sent))
        assert_problem(answer, 422, "validation_failed", ["/customers"])
        assert gateway.store.customers == {}

    @pytest.mark.parametrize("query", ["mode=replace", "mode=", "mode=upsert&mode=insert", "dry_run=true"])
    def test_other_parameters(self, gateway: FakeGateway, query: str) -> None:
        name = query.partition("=")[0]
        answer = gateway.client.post(f"{BATCH}?{query}", json={"customers": [body()]})
        assert_problem(answer, 422, "validation_failed", [f"?{name}"])

    def test_while_the_database_is_away(self, gateway: FakeGateway) -> None:
        gateway.store.failure = StoreUnavailable("away")
        assert_problem(gateway.client.post(BATCH, json={"customers": [body()]}), 503, "store_unavailable")

    def test_batch_is_still_a_customers_id(self, gateway: FakeGateway) -> None:
        assert gateway.client.put(BATCH, json=inputs()).status_code == 201
        assert gateway.client.get(BATCH).json[CUST_ID] == "batch"


_rows = st.lists(
    st.one_of(
        st.builds(lambda i, features: {CUST_ID: i, **features}, st.sampled_from("ABCDE"), faultless()),
        st.builds(lambda i: {CUST_ID: i}, st.sampled_from("ABCDE")),
        st.none()
        | st.integers()
        | st.text(max_size=3)
        | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(first=_rows, second=_rows, mode=st.sampled_from(["upsert", "insert"]))
def test_a_batch_does_what_single_writes_would(first: list[Any], second: list[Any], mode: str) -> None:
    gateway, expected = FakeGateway(), {}
    for rows in (first, second):
        before, seen = dict(expected), set()
        results = send(gateway, *rows, query=f"?mode={mode}")["results"]
        for sent, result in zip(rows, results, strict=True):
            faultless_row = isinstance(sent, dict) and len(sent) > 10
            if not faultless_row or sent[CUST_ID] in seen or (mode == "insert" and sent[CUST_ID] in before):
                assert result["status"] == "rejected"
            else:
                features = complete({name: value for name, value in sent.items() if name != CUST_ID})
                kind = "created" if sent[CUST_ID] not in before else "updated"
                assert result["status"] == ("unchanged" if before.get(sent[CUST_ID]) == features else kind)
                expected[sent[CUST_ID]] = features
            if faultless_row:
                seen.add(sent[CUST_ID])
    assert {i: {name: c[name] for name in expected[i]} for i, c in gateway.store.customers.items()} == expected
