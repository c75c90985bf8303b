"""Any sequence of writes, erasures and switches of the model: history, current state, audit trail and the past agree.

On the whole gateway over a real mongod. Customers who have been erased are looked for in all collections.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import encode
from fakes.api_keys import ADMIN_KEY, key_of
from fakes.registry import NEW, OLD
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from support.customers import body, inputs
from support.served_model import SwitchedModel, SwitchedRegistry, segment_of
from werkzeug.test import TestResponse

from gateway.app import create_app
from gateway.data_access.mongo.events import outboxes
from gateway.services.access.rate_limits import Rate
from gateway.services.principal import Scope
from gateway.settings import Settings
from gateway.stores import connect, mongo_stores
from gateway.wiring import Services, assemble

IDS = ("Quetzal-1", "Quetzal-2")
DOINGS = ("create", "put", "put", "patch", "delete", "restore", "rescore", "erase", "switch", "move", "die")
NO_LIMIT = (Rate(10**8, 60),)
EXAMPLES = int(os.environ.get("STRESS_EXAMPLES", "10"))

QUICK_TURNS = [
    (doing, IDS[0], value)
    for turn in ("delete restore patch", "patch delete create", "delete create delete restore", "rescore erase create")
    for doing in " die ".join(["put", *turn.split(), "put"]).split()
    for value in [len(turn) * 50]
]
"""Relays are killed between the turns of one customer; what they have logged must not come along."""

steps = st.lists(st.tuples(st.sampled_from(DOINGS), st.sampled_from(IDS), st.integers(0, 1_999)), max_size=14)


@dataclass
class Known:
    """What the test knows of one CUST_ID.

    Attributes
    ----------
    revision, balance : of the stored customer; no revision: there is none.
    told : type and revision (None where there is none after it) of each change since it was last erased, in order.
    """

    revision: str | None = None
    balance: float = 0.0
    told: list[tuple[str, str | None]] = field(default_factory=list)


class World:
    """The gateway with its worker's duties, and what must be true of it."""

    def __init__(self, database: Database[dict[str, Any]], uri: str) -> None:
        self.database = database
        self.registry = SwitchedRegistry()
        configured = Settings(mongodb_uri=uri, rate_limit=NO_LIMIT, rate_limit_bulk=NO_LIMIT, log_level="ERROR")
        stores = mongo_stores(database, configured)
        stores.schema.bring_up_to_date()
        stores.keys.insert(key_of(ADMIN_KEY, [Scope.ADMIN]))
        self.services: Services = assemble(stores, SwitchedModel(self.registry), self.registry, configured)
        self._client = create_app(configured, self.services).test_client()
        self._numbers = itertools.count()

    def begin(self) -> None:
        """Forget everything but the key, and how many entries the log has had."""
        for name in self.database.list_collection_names():
            if name not in ("api_keys", "counters"):
                self.database[name].delete_many({})
        self.registry.active, self.registry.history = OLD, []
        self.known = {cust_id: Known() for cust_id in IDS}
        self.moments: list[tuple[datetime, dict[str, str]]] = []
        assert self.send("POST", "/api-keys", {"name": "begin", "scopes": ["customers:read"]}).status_code == 201
        self.move()  # with its first entry the log begins to remember

    def send(self, method: str, path: str, sent: Any = None, **headers: str) -> TestResponse:
        """Send a request as the administrator."""
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", **headers}
        return self._client.open(f"/api/v1{path}", method=method, json=sent, headers=headers)

    def do(self, doing: str, cust_id: str, value: int) -> None:
        """Do one thing and note what became of it."""
        if doing in ("switch", "move", "die"):
            getattr(self, doing)()
        else:
            getattr(self, f"_{doing}")(self.known[cust_id], cust_id, value + next(self._numbers) / 1e6)
        time.sleep(0.002)  # times are stored in whole milliseconds
        self.moments.append((datetime.now(UTC), self._segments()))
        time.sleep(0.002)

    def move(self) -> None:
        """Do what the relay does."""
        while self.services.relay.run_once(lambda: None):
            pass

    def die(self) -> None:
        """Do what a relay does that is killed when its transaction has been committed, before it empties outboxes."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(outboxes, "_WITHOUT_LOGGED", [{"$set": {"logged": "$logged"}}])
            self.services.relay.run_once(lambda: None)

    def switch(self) -> None:
        """Activate the other version, and do what the worker does."""
        path = "/models/rollback" if self.registry.active == NEW else f"/models/{NEW}/activate"
        before = self._segments()
        assert self.send("POST", path, {"reason": "to see"}).status_code == 200
        self.services.assignments.reconciler.run_once(lambda: None)
        for cust_id, segment in before.items():
            self.known[cust_id].revision = self._get(cust_id).json["revision"]  # type: ignore[index]
            if self._segments()[cust_id] != segment:
                self._tell(self.known[cust_id], "customer.segment_changed")

    def _segments(self) -> dict[str, str]:
        stored = {cust_id: known.balance for cust_id, known in self.known.items() if known.revision}
        return {cust_id: segment_of(balance, str(self.registry.active)) for cust_id, balance in stored.items()}

    def _get(self, cust_id: str) -> TestResponse:
        return self.send("GET", f"/customers/{cust_id}")

    @staticmethod
    def _tell(known: Known, type_: str) -> None:
        known.told.append((type_, known.revision))

    def _written(self, known: Known, answer: TestResponse, type_: str) -> bool:
        if answer.status_code >= 400:
            assert answer.status_code in (404, 409), answer.text
            return False
        assert answer.json
        known.revision, known.balance = answer.json["revision"], answer.json["BALANCE"]
        self._tell(known, type_)
        return True

    def _create(self, known: Known, cust_id: str, balance: float) -> None:
        sent, key = body(cust_id, BALANCE=balance), f"key-{next(self._numbers)}"
        existed = known.revision
        answer = self.send("POST", "/customers", sent, **{"Idempotency-Key": key})
        assert self._written(known, answer, "customer.created") is (existed is None)

    def _put(self, known: Known, cust_id: str, balance: float) -> None:
        type_ = "customer.updated" if known.revision else "customer.created"
        answer = self.send("PUT", f"/customers/{cust_id}", inputs(BALANCE=balance))
        assert self._written(known, answer, type_)

    def _patch(self, known: Known, cust_id: str, balance: float) -> None:
        existed = known.revision
        answer = self.send("PATCH", f"/customers/{cust_id}", {"BALANCE": balance})
        assert self._written(known, answer, "customer.updated") is (existed is not None)

    def _rescore(self, known: Known, cust_id: str, _: float) -> None:
        answer = self.send("POST", f"/customers/{cust_id}/segment")
        assert answer.status_code == (200 if known.revision else 404)
        if known.revision:
            known.revision = (self._get(cust_id).json or {})["revision"]
            self._tell(known, "customer.rescored")

    def _delete(self, known: Known, cust_id: str, _: float) -> None:
        answer = self.send("DELETE", f"/customers/{cust_id}")
        assert answer.status_code == (204 if known.revision else 404)
        if known.revision:
            known.revision = None
            self._tell(known, "customer.deleted")

    def _restore(self, known: Known, cust_id: str, _: float) -> None:
        self._written(known, self.send("POST", f"/customers/{cust_id}/restore"), "customer.restored")
        if known.revision:
            stored = self._get(cust_id).json
            assert stored
            # It may have been deleted under the other version.
            self.services.assignments.reconciler.run_once(lambda: None)
            now = self._get(cust_id).json
            assert now
            known.revision = now["revision"]
            if now["seq"] != stored["seq"]:
                self._tell(known, "customer.segment_changed")

    def _erase(self, known: Known, cust_id: str, _: float) -> None:
        receipt = self.send("DELETE", f"/customers/{cust_id}?erase=true")
        assert receipt.json
        assert receipt.json["status"] == "completed"
        self.known[cust_id] = Known()
        for moment in self.moments:
            moment[1].pop(cust_id, None)
        self.assert_nowhere(cust_id)
        self.move()
        self.assert_nowhere(cust_id)

    def assert_nowhere(self, cust_id: str) -> None:
        """Assert that no document holds the id, but the place that tells for 72 hours who was erased."""
        for name in self.database.list_collection_names():
            for document in self.database[name].find():
                for entry in (document, *document.get("outbox", ())):
                    entry.pop("erased_id", None)
                assert name == "erased_ids" or cust_id.encode() not in encode(document), (name, document)

    def assert_in_agreement(self) -> None:
        """Assert that history, current state, audit trail and the past agree with what has been done."""
        for at, segments in self.moments[-3:]:  # also while some of it waits
            self._assert_members(at, Counter(segments.values()))
            for cust_id in IDS:
                self._assert_past(cust_id, at, segments.get(cust_id))
        self.move()
        for cust_id, known in self.known.items():
            self._assert_history(cust_id, known)
            for at, segments in self.moments:
                self._assert_past(cust_id, at, segments.get(cust_id))
        for at, segments in self.moments[-3:]:
            self._assert_members(at, Counter(segments.values()))

    def _assert_history(self, cust_id: str, known: Known) -> None:
        answer = self.send("GET", f"/customers/{cust_id}/history?limit=100")
        history = (answer.json or {}).get("items", []) if answer.status_code != 404 else []
        assert [(entry["type"], entry["after"]) for entry in reversed(history)] == known.told
        audit = self.send("GET", f"/audit?subject={cust_id}&limit=100").json
        assert audit
        assert [(e["action"], e["after"]) for e in reversed(audit["items"])] == known.told
        current = self._get(cust_id)
        assert current.status_code == (200 if known.revision else 404)
        if known.revision:
            assert current.json
            life = [entry for entry in history if entry["created_at"] == current.json["created_at"]]
            assert [entry["seq"] for entry in life] == list(range(len(life), 0, -1))
            assert (current.json["seq"], current.json["revision"]) == (len(life), known.revision)
            assert current.json["segment"]["id"] == self._segments()[cust_id]

    def _assert_past(self, cust_id: str, at: datetime, segment: str | None) -> None:
        answer = self.send("GET", f"/customers/{cust_id}/segment?as_of={_written(at)}")
        if segment is None:
            assert answer.status_code == 404, (cust_id, at, answer.text)
        else:
            assert answer.json
            assert answer.json["segment"]["id"] == segment, (cust_id, at, answer.text)

    def _assert_members(self, at: datetime, sizes: Counter[str]) -> None:
        for segment in ("seg-01", "seg-02"):
            answer = self.send("GET", f"/customers?segment={segment}&as_of={_written(at)}")
            assert answer.json
            assert len(answer.json["items"]) == sizes[segment], (segment, at, answer.text)


def _written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture
def world(mongodb_uri: str) -> Iterator[World]:
    """A gateway on the test's database."""
    database = connect(Flask("test"), Settings(mongodb_uri=mongodb_uri))
    yield World(database, mongodb_uri)
    with suppress(Exception):
        database.client.close()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps)
@example(QUICK_TURNS)
def test_all_views_agree_after_any_sequence(world: World, steps: list[tuple[str, str, int]]) -> None:
    world.begin()
    for step in steps:
        world.do(*step)
    world.assert_in_agreement()
