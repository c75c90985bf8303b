"""Lists, exports and counts on a real mongod while two workers score every customer anew and others change customers.

What matches throughout and does not move along the sort key comes exactly once; and what is there is counted once.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from threading import Event, Lock
from typing import Any

import pytest
from contracts.customers import assignment
from fakes.assignments import AssignmentHarness
from fakes.gateway import FakeGateway
from fakes.model import FakeModel
from fakes.store import holds
from pymongo.collection import Collection
from support.customer_queries import query_string, walk
from support.customers import ORIGIN, inputs, stored

from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.services.assignments import reconciler
from gateway.services.customers.customer import Customer, Update, changed_customer
from gateway.services.customers.exports import ExportService
from gateway.services.customers.query import (
    BY_ID,
    SORTABLE,
    Condition,
    Filters,
    Op,
    Order,
    SortKey,
    order_of,
    position_of,
)
from shared.features import CUST_ID, complete

CUSTOMERS = 2_000
VERSIONS = ("v1", "v2")
OLDER = Condition("model_version", Op.NE, "")
"""Stands for: not by the version that is scored anew by."""
FILTERS: Sequence[Filters] = (
    (OLDER, Condition("BALANCE", Op.LT, 900.0)),
    (Condition("segment", Op.EQ, "seg-01"),),
    (Condition("segment_status", Op.EQ, "assigned"), Condition("borderline", Op.EQ, False)),
)
SORTS = (
    *([SortKey(field, place % 2 == 0)] for place, field in enumerate(SORTABLE)),
    [SortKey("segment"), SortKey("BALANCE", True)],
    [SortKey("BALANCE", True), SortKey("segment")],
    [SortKey("CREDIT_LIMIT"), SortKey("segment", True), SortKey("PURCHASES")],
)


class Recorded(MongoCustomerStore):
    """Keeps what each customer may have been since `begin`: every state that somebody has tried to store."""

    def __init__(self, customers: Collection) -> None:
        super().__init__(customers)
        self._under_way: list[list[Customer]] = []
        self._tried: list[list[Customer]] = []
        self._noting = Lock()

    def begin(self) -> None:
        """Forget what has been stored until now."""
        with self._noting:
            self._tried = list(self._under_way)

    def states(self) -> dict[str, list[Customer]]:
        """Return what was tried since `begin`, by CUST_ID."""
        with self._noting:
            tried = list(self._tried)
        states: dict[str, list[Customer]] = defaultdict(list)
        for batch in tried:
            for customer in batch:
                states[customer[CUST_ID]].append(customer)
        return states

    def update_many(self, updates: Sequence[Update]) -> set[str]:
        with self._written([update.customer for update in updates]):
            return super().update_many(updates)

    def update(self, update: Update) -> bool:
        with self._written([update.customer]):
            return super().update(update)

    @contextmanager
    def _written(self, batch: list[Customer]) -> Iterator[None]:
        with self._noting:
            self._under_way.append(batch)
            self._tried.append(batch)
        yield
        with self._noting:
            self._under_way.remove(batch)


class Commotion:
    """Two workers that score everybody anew whenever there is another version, and one writer of features."""

    def __init__(self, store: Recorded) -> None:
        self.store = store
        self.model = FakeModel(VERSIONS[0])
        self._stop = Event()
        self._pool = ThreadPoolExecutor(3)
        self._going_on: list[Future[None]] = []

    def __enter__(self) -> Commotion:
        self._going_on = [self._pool.submit(self._run, each) for each in (self._score, self._score, self._change)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        for each in self._going_on:
            each.result()

    def activate_another(self) -> str:
        """Make another version the active one and return it."""
        self.model.current = VERSIONS[self.model.current == VERSIONS[0]]
        return self.model.current

    def _run(self, work: Callable[[], None]) -> None:
        while not self._stop.is_set():
            work()

    def _score(self) -> None:
        AssignmentHarness(self.store).worker(self.model).run_once()
        self._stop.wait(0.001)

    def _change(self) -> None:
        chosen = random.Random()
        (old,) = self.store.get_many([f"C{chosen.randrange(CUSTOMERS):05d}"]).values()
        features = complete(inputs(BALANCE=float(chosen.randrange(2_000))))
        self.store.update(changed_customer(old, features, old["segment"], ORIGIN))


@pytest.fixture
def commotion(customers: Collection) -> Iterator[Commotion]:
    """A store with customers of two segments, and all that goes on in it."""
    store = Recorded(customers)
    some = random.Random(1)
    store.insert_many(
        [
            stored(
                f"C{n:05d}",
                assignment("seg-01" if (balance := float(some.randrange(2_000))) < 1_000 else "seg-02"),
                BALANCE=balance,
                PURCHASES=float(n % 50),
                CREDIT_LIMIT=some.choice([None, 500.0, 1_000.0, 2_000.0]),
            )
            for n in range(CUSTOMERS)
        ]
    )
    with Commotion(store) as going_on:
        yield going_on


def _with_version(filters: Filters, version: str) -> Filters:
    return tuple(Condition(c.field, c.op, version) if c is OLDER else c for c in filters)


class Unmoved:
    """Which customers a list must have: those that fit in all that they may have been, always at one place."""

    def __init__(self, commotion: Commotion, filters: Filters, order: Order) -> None:
        self._filters, self._order = filters, order
        self._store = commotion.store
        self._store.begin()
        self._before = [customer for block in _everyone(self._store) for customer in block]

    def expected(self) -> dict[str, Any]:
        """Return the places of those customers so far, by CUST_ID."""
        tried = self._store.states()
        states = {customer[CUST_ID]: [customer, *tried.get(customer[CUST_ID], ())] for customer in self._before}
        return {
            cust_id: position_of(all_[0], self._order)
            for cust_id, all_ in states.items()
            if all(holds(each, state) for state in all_ for each in self._filters)
            and len({position_of(state, self._order) for state in all_}) == 1
        }

    def judge(self, found: Sequence[str], what: object) -> int:
        """Hold what was found to what had to be; return how many that were."""
        expected = self.expected()
        counted = Counter(found)
        wrong = {cust_id: counted[cust_id] for cust_id in expected if counted[cust_id] != 1}
        assert not wrong, (
            f"{what}: {len(wrong)} of {len(expected)} customers are missing or come twice; {len(found)} found"
        )
        return len(expected)


def _everyone(store: MongoCustomerStore) -> Iterator[list[Customer]]:
    ids = [cust_id for block in store.stream([], 10_000) for cust_id in block.ids]
    yield list(store.get_many(ids).values())


def test_a_list_of_those_that_are_still_due_does_not_end_early(
    commotion: Commotion, customers: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page is short without being the last one where customers cease to match while the page is put together."""
    monkeypatch.setattr(reconciler, "BATCH", 100)
    client = FakeGateway(store=commotion.store).unjudged
    for _ in range(3):
        version = commotion.activate_another()
        left = {"everybody"}
        while left:
            query = {"model_version[ne]": version, "limit": "50", "fields": CUST_ID}
            found = [customer[CUST_ID] for customer in walk(client, query)]
            # Whoever is due now has been so all the time, and the index of CUST_ID never moves.
            everybody = customers.find({}, {"segment.model_version": 1}, hint="_id_")
            left = {each["_id"] for each in everybody if each["segment"]["model_version"] != version}
            assert left <= set(found)
            assert len(found) == len(set(found))


def test_lists_have_whoever_stays_exactly_once(commotion: Commotion) -> None:
    client = FakeGateway(store=commotion.store).unjudged
    seen = 0
    for filters, keys in zip(cycle(FILTERS), SORTS, strict=False):  # each order, and each filter several times
        wanted = _with_version(filters, commotion.activate_another())
        unmoved = Unmoved(commotion, wanted, order_of(keys))
        found = [customer[CUST_ID] for customer in walk(client, query_string(wanted, keys, 300))]
        seen += unmoved.judge(found, (wanted, keys))
    assert seen > CUSTOMERS


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_exports_have_whoever_stays_exactly_once(commotion: Commotion, filters: Filters) -> None:
    exports = ExportService(commotion.store, rows=100)
    for _ in range(2):
        wanted = _with_version(filters, commotion.activate_another())
        unmoved = Unmoved(commotion, wanted, BY_ID)
        found = [row[0] for block in exports.customers(wanted, [CUST_ID]) for row in block]
        unmoved.judge(found, wanted)


def test_analyses_and_the_worker_have_whoever_stays_exactly_once(commotion: Commotion) -> None:
    for _ in range(3):
        version = commotion.activate_another()
        older = Unmoved(commotion, (Condition("model_version", Op.NE, version),), BY_ID)
        due: list[str] = []
        while batch := commotion.store.due(version, due[-1] if due else None, 100):
            due += [customer[CUST_ID] for customer in batch]
        older.judge(due, "due")
        assert [cust_id for block in commotion.store.stream([], 100) for cust_id in block.ids] == [
            f"C{n:05d}" for n in range(CUSTOMERS)
        ]


def test_counts_count_everybody_once(commotion: Commotion) -> None:
    """Each customer has a segment, by one of two versions, at every moment."""
    for _ in range(15):
        version = commotion.activate_another()
        for everybody in (
            Condition("segment_status", Op.EQ, "assigned"),
            Condition("confidence", Op.GT, 0.0),
            Condition("model_version", Op.IN, VERSIONS),
            Condition("segment", Op.EXISTS, True),
        ):
            assert commotion.store.count((everybody,), True).total == CUSTOMERS
        assert commotion.store.count((Condition("model_version", Op.NE, version),), True).total <= CUSTOMERS
        assert commotion.store.segment_counts().total == CUSTOMERS
