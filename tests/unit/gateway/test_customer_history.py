"""The history of a customer: its changes with causes, and why it moved."""

from __future__ import annotations

from typing import Any

import pytest
from contracts.changes import about, at, entry
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.model import DOWN, OTHER, SEGMENTS, SLOW, move_explanation
from support.customers import stored
from support.problems import assert_problem

from gateway.services.errors import ModelRefused, RegistryRefusal
from gateway.services.events.change import Entry, Logged
from gateway.services.events.history import DIGESTS, MAX_EXPLAINED
from gateway.services.events.reasons import Reasons, move_of
from gateway.services.models.model import Move

HISTORY = f"{CUSTOMERS}/A/history"
MOVED = [100.0, 5_000.0]


def moved(origin: str | None, to: str | None, version: str | None = "v1", **rest: Any) -> Any:
    """The segment part of an entry."""
    known = {"confidence": 0.8, "rival": "seg-01", "model_version": version} if to else {}
    absent = dict.fromkeys(("confidence", "rival", "model_version"))
    return {"from": origin, "from_since": at(-9) if origin else None, "to": to, **absent, **known, **rest}


def changed(seconds: float, values: Any = None, **members: Any) -> Entry:
    """An entry about customer A."""
    told = {} if values is None else {"fields": list(values), "values": values}
    return about("customer", "A", seconds, created_at=at(0), seq=int(seconds), **told, **members)


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


def history(gateway: FakeGateway, query: str = "") -> Any:
    answer = gateway.client.get(f"{HISTORY}?{query}" if query else HISTORY)
    assert answer.status_code == 200, answer.text
    return answer.json


class TestPage:
    def test_tells_who_changed_what_and_where_the_customer_went(self, gateway: FakeGateway) -> None:
        gateway.changes.append(
            [
                changed(1, type="customer.created", segment=moved(None, "seg-01")),
                changed(2, {"BALANCE": MOVED}, segment=moved("seg-01", "seg-02"), before="r1", after="r2"),
                changed(3, type="customer.rescored", cause="manual"),
            ]
        )
        newest, middle, oldest = history(gateway)["items"]
        assert [e["seq"] for e in (newest, middle, oldest)] == [3, 2, 1]
        assert middle == {
            "seq": 2,
            "at": "2124-05-01T12:00:02Z",
            "type": "customer.updated",
            "cause": "customer_data",
            "actor": {"kind": "api_key", "id": "k1", "name": "Clerk"},
            "by": None,
            "request_id": "req",
            "before": "r1",
            "after": "r2",
            "created_at": "2124-05-01T12:00:00Z",
            "fields": ["BALANCE"],
            "values": {"BALANCE": {"before": 100.0, "after": 5_000.0}},
            "segment": {
                "from": SEGMENTS[0],
                "from_since": "2124-05-01T11:59:51Z",
                "from_model_version": None,
                "to": SEGMENTS[1],
                "confidence": 0.8,
                "borderline": True,
                "rival": SEGMENTS[0],
                "model_version": "v1",
            },
        }
        assert (newest["fields"], newest["values"], newest["segment"]) == ([], {}, None)
        assert (oldest["segment"]["from"], oldest["segment"]["from_since"]) == (None, None)

    def test_says_where_its_memory_ends_and_what_is_told_elsewhere(self, gateway: FakeGateway) -> None:
        gateway.changes.append([changed(1, {"BALANCE": MOVED})])
        gateway.changes.kept = gateway.changes.kept._replace(since=at(-5), values_since=at(9))
        gateway.changes.values.clear()
        body = history(gateway)
        since, values_since = "2124-05-01T11:59:55Z", "2124-05-01T12:00:09Z"
        assert body["memory"] == {"since": since, "values_since": values_since, "digests": DIGESTS}
        assert (body["items"][0]["fields"], body["items"][0]["values"]) == (["BALANCE"], None)

    def test_has_what_still_waits_also_of_a_deleted_customer(self, gateway: FakeGateway) -> None:
        waiting = [entry(2, seq=2, type="customer.updated"), entry(3, seq=3, type="customer.deleted")]
        gateway.changes.append([changed(1, type="customer.created")])
        gateway.deleted.copies["A"] = {"CUST_ID": "A", "created_at": at(0), "outbox": waiting}
        assert [e["seq"] for e in history(gateway)["items"]] == [3, 2, 1]
        assert [e["created_at"] for e in history(gateway)["items"]] == ["2124-05-01T12:00:00Z"] * 3

    def test_is_walked_by_cursors(self, gateway: FakeGateway) -> None:
        gateway.changes.append([changed(n) for n in range(1, 6)])
        gateway.changes.append([about("customer", "B", 9), about("import", "A", 9)])
        found, address = [], f"{HISTORY}?limit=2"
        while address:
            answer = gateway.client.get(address)
            found.append([e["seq"] for e in answer.json["items"]])
            address = answer.json["next_cursor"] and f"{HISTORY}?limit=2&cursor={answer.json['next_cursor']}"
            assert ("Link" in answer.headers) == bool(address)
        assert found == [[5, 4], [3, 2], [1]]

    def test_old_entries_of_the_audit_trail_are_in_it(self, gateway: FakeGateway) -> None:
        gateway.changes.append([about("customer", "A", 1)])
        (found,) = history(gateway)["items"]
        assert (found["seq"], found["created_at"]) == (None, None)

    def test_of_an_imported_customer_it_is_empty_and_of_an_unknown_one_there_is_none(
        self, gateway: FakeGateway
    ) -> None:
        assert_problem(gateway.client.get(HISTORY), 404, "customer_not_found")
        gateway.store.customers["A"] = stored("A")
        assert history(gateway)["items"] == []
        gateway.changes.append([changed(1)])
        assert len(history(gateway)["items"]) == 1
        gateway.store.customers.clear()
        assert len(history(gateway)["items"]) == 1, "as long as the log remembers"
        gateway.changes.erase("A")
        assert_problem(gateway.client.get(HISTORY), 404, "customer_not_found")

    def test_names_are_null_while_the_model_service_is_away(self, gateway: FakeGateway) -> None:
        gateway.changes.append([changed(2, segment=moved("seg-01", "seg-77"))])
        assert history(gateway)["items"][0]["segment"]["to"] == {"id": "seg-77", "name": None}
        gateway.model.failure = DOWN
        assert history(gateway)["items"][0]["segment"]["from"] == {"id": "seg-01", "name": None}

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("limit=0", "?limit"),
            ("limit=501", "?limit"),
            ("explain=yes", "?explain"),
            (f"explain=true&limit={MAX_EXPLAINED + 1}", "?limit"),
            ("cursor=x", "?cursor"),
            ("cursor=MTpTMDAwMQ", "?cursor"),  # of a list of customers
            ("cursor=MTo5OTk5OTk5OTk5OTk5OTk5OTk5", "?cursor"),  # a position that there cannot be
            ("since=1", "?since"),
        ],
    )
    def test_refuses_other_parameters(self, gateway: FakeGateway, query: str, pointer: str) -> None:
        assert_problem(gateway.client.get(f"{HISTORY}?{query}"), 422, "validation_failed", [pointer])


def reasons(gateway: FakeGateway, *entries: Entry) -> Any:
    """The newest entry of this history, explained."""
    gateway.changes.append(entries)
    return history(gateway, "explain=true")["items"][0]


class TestReasons:
    def test_a_move_by_data_is_split_over_what_changed(self, gateway: FakeGateway) -> None:
        values = {"BALANCE": MOVED, "TENURE": [11, 12], "AVERAGE_PURCHASE_TRX": [1.0, 2.0]}
        found = reasons(gateway, changed(1, values, segment=moved("seg-01", "seg-02", OTHER)))
        assert found["why"] == move_explanation(Move(OTHER, "seg-01", "seg-02", values), *SEGMENTS)
        assert "why_unavailable" not in found

    def test_the_model_may_have_had_a_part_in_it(self, gateway: FakeGateway) -> None:
        part = moved("seg-01", "seg-02", "v1", from_model_version=OTHER)
        found = reasons(gateway, changed(1, {"BALANCE": MOVED}, segment=part))
        assert "why" in found
        assert OTHER in found["remark"]
        part = moved("seg-01", "seg-02", "v1", from_model_version="v1")
        assert "remark" not in reasons(gateway, changed(2, {"BALANCE": MOVED}, segment=part))

    def test_so_is_one_by_an_import(self, gateway: FakeGateway) -> None:
        assert "why" in reasons(
            gateway, changed(1, {"BALANCE": MOVED}, cause="import", segment=moved("seg-01", "seg-02"))
        )

    def test_only_where_it_is_asked_for(self, gateway: FakeGateway) -> None:
        gateway.changes.append([changed(1, {"BALANCE": MOVED}, segment=moved("seg-01", "seg-02"))])
        assert not {"why", "why_unavailable"} & set(history(gateway)["items"][0])
        assert "explain_move" not in {method for method, _ in gateway.model.calls}

    @pytest.mark.parametrize(
        "members",
        [
            {"values": {"BALANCE": MOVED}},
            {"type": "customer.created", "segment": moved(None, "seg-01")},
            {"type": "customer.deleted", "cause": None, "segment": moved("seg-01", None)},
            {"values": {"BALANCE": MOVED}, "segment": moved("seg-01", None)},
            {"segment": moved(None, "seg-01"), "data": {"was": "seg-01"}},
        ],
    )
    def test_what_is_no_move_between_segments_needs_no_reason(
        self, gateway: FakeGateway, members: dict[str, Any]
    ) -> None:
        assert not {"why", "why_unavailable"} & set(reasons(gateway, changed(1, **members)))

    @pytest.mark.parametrize(
        ("cause", "code", "words"),
        [
            ("model_activated", "model_changed", "Model version v7 became the active one; "),
            ("rollback", "model_changed", "Model version v7 became the active one again; "),
            ("manual", "scored_anew", "scored anew, by model version v7"),
        ],
    )
    def test_the_model_is_named_where_it_was_the_model(
        self, gateway: FakeGateway, cause: str, code: str, words: str
    ) -> None:
        found = reasons(gateway, changed(1, cause=cause, segment=moved("seg-01", "seg-02", "v7")))
        assert found["why_unavailable"]["code"] == code
        assert words in found["why_unavailable"]["detail"]

    def test_values_that_are_not_kept_explain_nothing(self, gateway: FakeGateway) -> None:
        gateway.changes.append([changed(1, {"BALANCE": MOVED}, segment=moved("seg-01", "seg-02"))])
        gateway.changes.values.clear()
        (found,) = history(gateway, "explain=true")["items"]
        assert found["why_unavailable"]["code"] == "values_not_kept"

    @pytest.mark.parametrize(
        ("part", "code"),
        [
            (moved("seg-01", "seg-02", "20200101T000000Z-00000000"), "version_not_kept"),
            (moved("seg-09", "seg-02"), "segment_not_in_version"),
        ],
    )
    def test_what_the_model_service_does_not_have_any_more(self, gateway: FakeGateway, part: Any, code: str) -> None:
        found = reasons(gateway, changed(1, {"BALANCE": MOVED}, segment=part))
        assert found["why_unavailable"]["code"] == code
        assert found["segment"]["to"] == SEGMENTS[1]

    @pytest.mark.parametrize(
        ("failure", "code", "calls"),
        [
            (DOWN, "model_unavailable", 1),
            (SLOW, "model_unavailable", 1),
            (ModelRefused("no"), "values_refused", 3),
        ],
    )
    def test_the_history_is_told_without_reasons_where_there_are_none(
        self, gateway: FakeGateway, failure: Any, code: str, calls: int
    ) -> None:
        """Whoever is away is asked once for all."""
        gateway.changes.append([changed(n, {"BALANCE": MOVED}, segment=moved("seg-01", "seg-02")) for n in range(1, 4)])
        gateway.model.failure = failure
        items = gateway.services.history.page("A", None, 20, explain=True)[0].items
        assert [item["why_unavailable"]["code"] for item in items] == [code] * 3
        assert [method for method, _ in gateway.model.calls].count("explain_move") == calls

    def test_a_version_that_cannot_be_used_is_said_to_be_so(
        self, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise RegistryRefusal(409, "artefact_damaged", "The files are damaged.")

        monkeypatch.setattr(gateway.model, "explain_move", refuse)
        found = reasons(gateway, changed(1, {"BALANCE": MOVED}, segment=moved("seg-01", "seg-02")))
        assert found["why_unavailable"] == {"code": "version_unusable", "detail": "The files are damaged."}

    def test_they_share_their_time(self, gateway: FakeGateway) -> None:
        times = iter([0.0, 0.25, 1.5])
        some = Reasons(gateway.model, 1.0, lambda: next(times))
        moving: Any = changed(1, {"BALANCE": MOVED}, segment=moved("seg-01", "seg-02"))
        assert "change" in (some.why(moving, ()) or {})
        assert (some.why(moving, ()) or {}).get("code") == "model_unavailable"
        assert gateway.model.deadlines == [0.75]


class TestPendingInBetween:
    """The model service was away when the data changed, so that the move was found out later."""

    LATER = changed(9, type="customer.segment_changed", segment=moved(None, "seg-02"), data={"was": "seg-01"})
    LEFT = changed(2, {"BALANCE": [1.0, 2.0], "TENURE": [11, 12]}, segment=moved("seg-01", None))
    THEN = changed(3, {"BALANCE": [2.0, 3.0], "TENURE": [12, 11]})

    def test_all_that_changed_meanwhile_is_the_reason(self, gateway: FakeGateway) -> None:
        found = reasons(gateway, changed(1, {"BALANCE": [9.0, 1.0]}), self.LEFT, self.THEN, self.LATER)
        assert found["was"] == SEGMENTS[0]
        assert found["why"]["from"] == SEGMENTS[0]
        changes = {c["feature"]: [c["before"], c["after"]] for c in found["why"]["contributions"]}
        assert changes == {"BALANCE": [1.0, 3.0]}

    def test_also_beyond_the_page(self, gateway: FakeGateway) -> None:
        gateway.changes.append([self.LEFT, self.THEN, self.LATER])
        (found,) = history(gateway, "explain=true&limit=1")["items"]
        assert "why" in found

    @pytest.mark.parametrize(
        "older",
        [
            [],
            [THEN],
            [THEN, changed(2, segment=moved("seg-01", None), fields=["BALANCE"])],
            [changed(2, segment=moved("seg-01", None))],
        ],
    )
    def test_nothing_is_made_up_where_not_all_is_known(self, older: list[Logged]) -> None:
        found: Any = move_of(self.LATER, older)  # type: ignore[arg-type]  # has no position
        assert found["code"] == "values_not_kept"

    def test_what_an_import_changed_of_a_pending_customer_is_not_known(self) -> None:
        found: Any = move_of({**self.LATER, "cause": "import"}, [self.THEN, self.LEFT])  # type: ignore[arg-type,list-item]
        assert found["code"] == "values_not_kept"
