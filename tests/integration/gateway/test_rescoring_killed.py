"""Workers score everybody anew on a real mongod, one of them is killed, others write: nothing is lost or told twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from contracts.customers import assignment
from fakes.model import LIMIT, FakeModel
from pymongo.collection import Collection
from support.customers import origin, stored
from support.rescoring_worker import VERSION

from gateway.services.customers.assignment import Assigner
from gateway.services.customers.customers import CustomerService
from gateway.services.events.change import Logged
from gateway.settings import Settings
from gateway.stores import Stores, mongo_stores
from tests.conftest import ROOT

CUSTOMERS = 600
SECONDS = 30.0


@contextmanager
def worker(uri: str) -> Iterator[subprocess.Popen[str]]:
    """Run a worker in a process of its own."""
    command = [sys.executable, "-m", "support.rescoring_worker", uri]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            yield process
        finally:
            process.kill()


def wait_until(holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


@contextmanager
def writing(customers: CustomerService, written: dict[str, float]) -> Iterator[None]:
    """Change customers' BALANCE meanwhile, from one segment to the other and back; each is in `written`."""
    ended, chosen = Event(), random.Random(1)

    def write() -> None:
        while not ended.wait(0.002):
            cust_id = f"C{chosen.randrange(CUSTOMERS):04d}"
            written[cust_id] = customers.patch(cust_id, {"BALANCE": chosen.uniform(0, 2 * LIMIT)}).customer["BALANCE"]

    thread = Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def logged(stores: Stores) -> list[Logged]:
    """Return everything that has been told, in order."""
    while stores.outboxes.move(500):
        pass
    return stores.changes.after(0, None, 100_000)


def test_one_of_two_workers_is_killed_while_somebody_writes(customers: Collection, mongodb_uri: str) -> None:
    stores = mongo_stores(customers.database, Settings(mongodb_uri=mongodb_uri))
    start = [stored(f"C{n:04d}", assignment(version="v1"), BALANCE=LIMIT * (n % 4 == 0)) for n in range(CUSTOMERS)]
    stores.customers.insert_many(start)
    by_version = {"segment.model_version": VERSION}
    written: dict[str, float] = {}
    other_gateway = CustomerService(stores.customers, Assigner(FakeModel(VERSION), 0.5), stores.outboxes, origin)
    with worker(mongodb_uri) as doomed, writing(other_gateway, written):
        wait_until(lambda: customers.count_documents(by_version) > CUSTOMERS // 4)
        with worker(mongodb_uri):
            wait_until(lambda: customers.count_documents(by_version) > CUSTOMERS // 2)
            doomed.kill()
            wait_until(lambda: customers.database["rescorings"].find_one({"_id": "event-7"}) is not None)
    found = {document["_id"]: document for document in customers.find()}
    assert {document["segment"]["model_version"] for document in found.values()} == {VERSION}
    balances = {customer["CUST_ID"]: customer["BALANCE"] for customer in start} | written  # type: ignore[typeddict-item]
    assert {i: document["BALANCE"] for i, document in found.items()} == balances
    segments = {i: "seg-02" if balance >= LIMIT else "seg-01" for i, balance in balances.items()}
    assert {i: document["segment"]["id"] for i, document in found.items()} == segments
    entries = logged(stores)
    seqs: dict[str, list[int]] = {}
    for entry in entries:
        if entry["subject"]["type"] == "customer":
            seqs.setdefault(str(entry["subject"]["id"]), []).append(entry["seq"])
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seqs.values())
    assert {i: document["seq"] for i, document in found.items() if document["seq"]} == {
        i: len(numbers) for i, numbers in seqs.items()
    }
    types = Counter(entry["type"] for entry in entries)
    moved = types.pop("customer.segment_changed")
    assert set(types) == {"customer.updated", "assignments.recomputed"}
    assert types["assignments.recomputed"] == 1
    (digest,) = [entry for entry in entries if entry["type"] == "assignments.recomputed"]
    assert (digest["cause"], digest["actor"]["name"]) == ("rollback", "Ada")
    assert 0 < digest["data"]["moved"] <= moved
    assert digest["data"]["rescored"] <= CUSTOMERS
