"""Whatever is done to customers, in whatever order: their entries tell it all, once, and lead to what they are now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from unittest.mock import patch

import pytest
from fakes.gateway import FakeGateway
from fakes.model import DOWN, FakeModel
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.customers import inputs

from gateway.services.customers import customers as customers_module
from gateway.services.customers.customer import StoredCustomer
from gateway.services.errors import SegmentationError
from gateway.services.events.change import Entry
from gateway.services.models.model import DEFAULT_OPTIONS

ids = st.sampled_from("AB")
balances = st.sampled_from([100.0, 600.0, 2_000.0])
"""In the first segment by all versions of the model, in another one by each, in the second one by all."""


class Moving(FakeModel):
    """A model whose versions draw the line between the segments in different places."""

    def predict(self, features: Any, deadline: float, options: Any = DEFAULT_OPTIONS) -> Any:
        return super().predict({**features, "BALANCE": self._seen(features["BALANCE"])}, deadline, options)

    def score(self, columns: Mapping[str, Sequence[Any]], deadline: float | None = None) -> Any:
        return super().score({**columns, "BALANCE": [self._seen(each) for each in columns["BALANCE"]]}, deadline)

    def _seen(self, balance: float) -> float:
        return balance * (2 if self.current == "v2" else 1)


class Lives(RuleBasedStateMachine):
    """Customers who are created, changed, scored, deleted, restored and erased, while a relay moves what they tell."""

    def __init__(self) -> None:
        super().__init__()
        moments = (datetime(2124, 5, 1) + n * timedelta(milliseconds=1) for n in count())
        self.clocks = [
            patch(f"gateway.services.{name}.now", lambda: next(moments)) for name in ("clock", "customers.customer")
        ]
        for clock in self.clocks:
            clock.start()
        self.gateway = FakeGateway(model=Moving())
        self.services = self.gateway.services
        self.untold: dict[str, str] = {}

    def teardown(self) -> None:
        for clock in self.clocks:
            clock.stop()

    @rule(cust_id=ids, balance=balances, how=st.sampled_from(["create", "replace"]))
    def write(self, cust_id: str, balance: float, how: str) -> None:
        with suppress(SegmentationError):
            getattr(self.services.customers, how)(cust_id, inputs(BALANCE=balance))

    @rule(cust_id=ids, balance=balances)
    def patch(self, cust_id: str, balance: float) -> None:
        with suppress(SegmentationError):
            self.services.customers.patch(cust_id, {"BALANCE": balance})

    @rule(cust_id=ids)
    def rescore(self, cust_id: str) -> None:
        with suppress(SegmentationError):
            self.services.customer_segments.rescore(cust_id)

    @rule(cust_id=ids)
    def delete(self, cust_id: str) -> None:
        with suppress(SegmentationError):
            self.services.deletions.delete(cust_id)

    @rule(cust_id=ids, times=st.integers(1, 2), balance=balances)
    def live_again(self, cust_id: str, times: int, balance: float) -> None:
        for _ in range(times):
            self.delete(cust_id)
            self.write(cust_id, balance, "create")

    @rule(cust_id=ids, balance=balances)
    def wait_for_a_segment(self, cust_id: str, balance: float) -> None:
        self.gateway.model.failure = DOWN
        self.write(cust_id, balance, "replace")
        self.gateway.model.failure = None

    @rule()
    def delete_all(self) -> None:
        self.services.deletions.delete_matching((), len(self.gateway.store.customers))

    @rule(cust_id=ids)
    def restore(self, cust_id: str) -> None:
        with suppress(SegmentationError):
            self.services.deletions.restore(cust_id)

    @rule(cust_id=ids)
    def erase(self, cust_id: str) -> None:
        self.services.erasures.erase(cust_id)
        assert cust_id not in self.gateway.store.customers
        assert cust_id not in self.gateway.deleted.copies
        told = [*self.gateway.outboxes.entries(), *self.gateway.changes.entries.values()]
        assert not any(entry["subject"]["id"] == cust_id for entry in told)

    @rule(version=st.sampled_from(["v1", "v2"]))
    def activate(self, version: str) -> None:
        self.gateway.model.current = version

    @rule()
    def work(self) -> None:
        before = {cust_id: (c["seq"], c["revision"]) for cust_id, c in self.gateway.store.customers.items()}
        with suppress(SegmentationError):
            self.services.assignments.reconciler.run_once()
        for cust_id, (seq, revision) in before.items():
            now = self.gateway.store.customers[cust_id]
            if now["seq"] == seq and now["revision"] != revision:
                self.untold[now["revision"]] = revision

    @rule(limit=st.integers(1, 3))
    def relay(self, limit: int) -> None:
        self.gateway.outboxes.move(limit)

    @invariant()
    def entries_lead_to_what_there_is(self) -> None:
        lives = self._lives()
        for life in lives.values():
            assert [entry["seq"] for entry in life] == list(range(1, len(life) + 1))
            assert life[0]["type"] == "customer.created"
            self._check_chain(life)
        for customer in self.gateway.store.customers.values():
            waiting = [entry["seq"] for entry in customer.get("outbox", ())]  # the relay goes by it: of this life alone
            assert waiting == list(range(customer["seq"] - len(waiting) + 1, customer["seq"] + 1))
        present = [(c, None) for c in self.gateway.store.customers.values()]
        present += [(copy, "customer.deleted") for copy in self.gateway.deleted.copies.values()]
        for customer, last in present:
            self._check_state(customer, lives[customer["CUST_ID"], customer["created_at"]], last)

    def _lives(self) -> dict[tuple[str, datetime], list[Entry]]:
        """Return all entries that name somebody, logged and waiting, by CUST_ID and time of creation."""
        waiting = [*self.gateway.outboxes.entries()]
        for document in (*self.gateway.deleted.copies.values(), *self.gateway.store.customers.values()):
            own = {"subject": {"type": "customer", "id": document["CUST_ID"]}, "created_at": document["created_at"]}
            waiting += [{**own, **entry} for entry in document.get("outbox", ())]
        lives: dict[tuple[str, datetime], list[Entry]] = defaultdict(list)
        for entry in (*self.gateway.changes.entries.values(), *waiting):
            if entry["subject"]["type"] == "customer" and entry["subject"]["id"]:
                lives[entry["subject"]["id"], entry["created_at"]].append(entry)
        return lives

    def _check_chain(self, life: list[Entry]) -> None:
        revision: str | None = None
        segment: str | None = None
        since: datetime | None = None
        at = datetime.min
        for entry in life:
            before = entry["before"]
            while before != revision:
                assert before is not None
                before = self.untold.get(before)
            revision = entry["after"] or entry["before"]
            assert entry["at"] > at
            at = entry["at"]
            if move := entry.get("segment"):
                assert (move["from"], move["from_since"]) == (segment, since)
                assert move["to"] != segment
                segment, since = move["to"], at if move["to"] else None
            if entry["type"] == "customer.updated":
                assert entry["fields"] == ["BALANCE"]

    def _check_state(self, customer: StoredCustomer, life: list[Entry], last: str | None) -> None:
        assert customer["seq"] == life[-1]["seq"]
        told = next((entry["segment"] for entry in reversed(life) if "segment" in entry), None)
        segment = customer["segment"]
        if last:
            assert life[-1]["type"] == last
        elif segment is None:
            assert told is None or told["to"] is None
            assert customer["due"]["actor"]["kind"] == "system"
        else:
            assert told is not None
            assert segment["id"] == told["to"]
            moved = next(entry for entry in reversed(life) if "segment" in entry)
            assert (segment["since"], segment["cause"]) == (moved["at"], moved["cause"])
            assert "due" not in customer


Lives.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLives = Lives.TestCase


def test_what_waits_with_a_customer_never_becomes_more_than_a_document_should_hold(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customers_module, "MOST_WAITING", 5)
    services, most = gateway.services, 0
    services.customers.create("A", inputs())
    for number in range(30):
        if number % 3:
            services.customers.patch("A", {"BALANCE": float(number)})
        else:
            services.customer_segments.rescore("A")
        most = max(most, len(gateway.store.customers["A"]["outbox"]))
    assert most == 5
    assert [entry["seq"] for entry in gateway.logged()] == list(range(31, 0, -1))
