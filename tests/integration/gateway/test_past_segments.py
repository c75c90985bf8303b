"""What as-of answers and histories say, against what was seen at the time, on a real mongod with a fake model.

Customers are written, imported, deleted and restored at random while versions of the model come and go.
"""

from __future__ import annotations

import contextlib
import csv
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fakes import model as fake_model
from fakes.model import DOWN, FakeModel
from fakes.registry import NEW, OLD, FakeRegistry
from pymongo.collection import Collection
from support.customers import body, inputs

from gateway.commands.imports import import_file
from gateway.services.clock import now
from gateway.services.customers.batches import BatchRow
from gateway.services.customers.bulk_writes import Mode
from gateway.services.errors import CustomerNotFound, SegmentationError
from gateway.services.events.history import HistoryEntry
from gateway.services.imports.imports import ImportOptions
from gateway.settings import Settings
from gateway.stores import Stores, mongo_stores
from gateway.wiring import assemble

IDS = [f"C{number:02}" for number in range(24)]
SEGMENTS = ("seg-01", "seg-02")
LIMITS = {OLD: 1_000.0, NEW: 500.0}
"""From which BALANCE on a version puts customers into the second segment."""
ROUNDS = 100
NOT_STORED = "not stored"

State = dict[str, str | None]
"""By CUST_ID the id of the segment, None while pending; who is not stored is not in it."""


def _after(moment: datetime) -> None:
    """Wait until a change is later than this; two changes of one customer within a millisecond are put apart."""
    while now() <= moment:
        pass


class World:
    """A bank whose customers change at random.

    Attributes
    ----------
    seen : what was seen at some moments.
    erased : the customers that do not exist any more, in no history either.
    """

    def __init__(self, stores: Stores, model: FakeModel, chance: Random, folder: Path) -> None:
        self.services = assemble(stores, model, FakeRegistry(), Settings())
        self.stores = stores
        self.seen: list[tuple[datetime, State]] = []
        self.erased: set[str] = set()
        self._model = model
        self._chance = chance
        self._folder = folder

    def live(self, patch: pytest.MonkeyPatch) -> None:
        """Let something happen, and look what is there ten times."""
        self._patch_model = patch
        happens: list[Callable[[], object]] = [
            *[self._create, self._patch, self._patch, self._put] * 3,
            *[self._delete, self._restore, self._rescore, self._batch, self._import, self._work, self._relay] * 2,
            *(self._lose_model, self._find_model, self._change_model, self._erase),
        ]
        for round_ in range(ROUNDS):
            with contextlib.suppress(SegmentationError):  # there is no such customer, or already; the model is away
                self._chance.choice(happens)()
            if round_ % (ROUNDS // 10) == ROUNDS // 20:
                self._look()

    def _look(self) -> None:
        latest = now()
        _after(latest.replace(microsecond=min(latest.microsecond + 30_000, 999_000)))
        found = self.stores.customers.get_many(IDS)
        self.seen.append((now(), {i: c["segment"] and c["segment"]["id"] for i, c in found.items()}))
        _after(self.seen[-1][0])

    def _some(self) -> str:
        return self._chance.choice(IDS)

    def _balance(self) -> float:
        return self._chance.choice([100.0, 600.0, 700.0, 2_000.0]) + self._chance.random()

    def _create(self) -> None:
        self.services.customers.create(self._some(), inputs(BALANCE=self._balance()))

    def _put(self) -> None:
        self.services.customers.replace(self._some(), inputs(BALANCE=self._balance()))

    def _patch(self) -> None:
        self.services.customers.patch(self._some(), {"BALANCE": self._balance(), "TENURE": self._chance.randint(1, 12)})

    def _delete(self) -> None:
        self.services.deletions.delete(self._some())

    def _restore(self) -> None:
        self.services.deletions.restore(self._some())

    def _erase(self) -> None:
        cust_id = IDS[self._chance.randrange(3)]
        self.services.erasures.erase(cust_id)
        self.erased.add(cust_id)

    def _rescore(self) -> None:
        self.services.customer_segments.rescore(self._some())

    def _batch(self) -> None:
        rows = [BatchRow(i, inputs(BALANCE=self._balance())) for i in {self._some() for _ in range(5)}]
        self.services.batches.write(rows, Mode.UPSERT)

    def _import(self) -> None:
        file = self._folder / "customers.csv"
        rows = [body(i, BALANCE=self._balance()) for i in {self._some() for _ in range(8)}]
        with file.open("w", newline="") as text:
            writer = csv.DictWriter(text, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        import_file(self.services.imports, file, ImportOptions())

    def _lose_model(self) -> None:
        self._model.failure = DOWN

    def _find_model(self) -> None:
        self._model.failure = None

    def _change_model(self) -> None:
        self._activate(NEW if self._model.current == OLD else OLD)
        self._work()

    def _activate(self, version: str) -> None:
        if version == NEW:
            self.services.models.activations.activate(version, {"force": True})
        else:
            self.services.models.activations.roll_back({})
        self._model.current = version
        self._patch_model.setattr(fake_model, "LIMIT", LIMITS[version])

    def _work(self) -> None:
        self._model.failure = None
        self.services.assignments.reconciler.run_once()

    def _relay(self) -> None:
        self.services.relay.run_once()


@pytest.fixture
def world(customers: Collection[Any], tmp_path: Path) -> Any:
    stores = mongo_stores(customers.database, Settings())
    stores.changes.memory()  # the log begins
    model = FakeModel(OLD)
    found = World(stores, model, Random(3), tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        found.live(patch)
    model.current, model.failure = OLD, None  # it knows both versions then
    return found


def test_as_of_answers_and_histories_are_what_was_seen(world: World) -> None:
    """While some changes still wait for the log, and when all are in it."""
    _compare(world)
    world.services.relay.run_once()
    _compare(world)
    for cust_id in IDS:
        _check_history(world, cust_id)
    _check_moves(world)


def _compare(world: World) -> None:
    as_of = world.services.segments.as_of
    for at, seen in world.seen:
        for cust_id in IDS:
            if cust_id not in world.erased:
                assert _segment(world, cust_id, at) == seen.get(cust_id, NOT_STORED), (cust_id, at)
        for segment in SEGMENTS:
            members = [c for c in IDS if seen.get(c) == segment and c not in world.erased]
            assert [c for c in _members(world, segment, at) if c not in world.erased] == members, (segment, at)
        sizes = {item["id"]: item["size"] for item in as_of.sizes(at)["items"]}
        assert sizes == Counter(segment for segment in seen.values() if segment), at


def _check_moves(world: World) -> None:
    """Who moved between two moments are those who were seen elsewhere later."""
    for (since, before), (until, after) in combinations(world.seen, 2):
        ways = Counter((before.get(i), after.get(i)) for i in IDS if before.get(i) != after.get(i))
        found = world.services.segments.transitions.between(since, until)
        assert {(t["from"], t["to"]): t["customers"] for t in found["items"]} == ways, (since, until)
        assert (found["since"], found["until"], found["erased"]) == (since, until, 0)


def _segment(world: World, cust_id: str, at: datetime) -> str | None:
    try:
        found = world.services.segments.as_of.segment(cust_id, at)["segment"]
    except CustomerNotFound:
        return NOT_STORED
    return found["id"] if found else None


def _members(world: World, segment: str, at: datetime) -> list[str]:
    found: list[str] = []
    end: str | None = ""
    while end is not None:
        page = world.services.segments.as_of.members(segment, at, end or None, 4, ("CUST_ID",))
        found += [str(item["CUST_ID"]) for item in page.items]
        end = page.end
    return found


def _check_history(world: World, cust_id: str) -> None:
    """The entries of a life are numbered without gaps, and each move begins where the one before it ended."""
    lives: dict[datetime | None, list[HistoryEntry]] = {}
    for entry in _history(world, cust_id):
        lives.setdefault(entry["created_at"], []).insert(0, entry)
    for life in lives.values():
        assert [entry["seq"] for entry in life] == list(range(1, len(life) + 1))
        moves = [entry["segment"] for entry in life if entry["segment"]]
        assert [move["to"] for move in moves[:-1]] == [move["from"] for move in moves[1:]]
        for entry in life:
            if entry["segment"] and entry["segment"]["from"] and entry["segment"]["to"]:
                by_data = entry["cause"] in ("customer_data", "import")
                assert (("why" in entry), ("why_unavailable" in entry)) == (by_data, not by_data), entry


def _history(world: World, cust_id: str) -> list[HistoryEntry]:
    """The whole history of a customer, newest first."""
    found: list[HistoryEntry] = []
    end: str | None = None
    with contextlib.suppress(CustomerNotFound):
        while not found or end:
            page, _ = world.services.history.page(cust_id, int(end) if end else None, 3, explain=True)
            found, end = found + page.items, page.end
            if not page.items:
                break
    return found
