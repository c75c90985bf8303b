"""Gateway, workers and mongod are killed at random while everything is written: no acknowledged change is lost.

``make stress`` does it at length (STRESS_WRITES), and on a replica set of three nodes, whose primary is killed and
paused.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from fakes.registry import NEW
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError
from support.random_writes import Sent, Writer, follow
from support.scripted_server import serving
from support.served_model import SwitchedModel, SwitchedRegistry, segment_of, serving_both
from support.servers import free_port, running_mongod, running_replica_set
from support.told_once import each_acknowledged_change_is_there_once, lives_of, numbers_have_no_gap, what_is_left

from gateway.services.models.activations import TYPES
from tests.e2e.conftest import GRANIAN, WORKER, System, wait_until

AT_LENGTH = "STRESS_WRITES" in os.environ
WRITES = int(os.environ.get("STRESS_WRITES", "200"))
KILLS = max(6, WRITES // 250)
CLIENTS = 4
SETTLING = 120.0
SWITCHES = ("activate", "rollback", "activate", "rollback", "activate")
WORKERS = ("worker 1", "worker 2")

Document = dict[str, Any]


@dataclass
class Running:
    """A whole system under fire, and what it has been asked for."""

    system: System
    registry: SwitchedRegistry
    database: Database[Document]
    faults: Sequence[Callable[[], None]]
    sent: Sent = field(default_factory=Sent)
    seen: list[int] = field(default_factory=list)

    def kill_gateway(self) -> None:
        self.system.kill("gateway")
        self.system.start_gateway(GRANIAN)

    def kill_worker(self, name: str) -> None:
        self.system.kill(name)
        self.system.start(name, WORKER)

    def switch(self, kind: str) -> None:
        """Activate the newer version or roll back, as often as it takes."""
        path = "/api/v1/models/rollback" if kind == "rollback" else f"/api/v1/models/{NEW}/activate"
        switched = len(self.registry.history) + 1

        def done() -> bool:
            if len(self.registry.history) < switched:
                try:
                    self.system.http.post(self.system.base + path, json={"reason": "stress"}, timeout=30)
                except requests.RequestException:
                    return False
            return len(self.registry.history) >= switched

        wait_until(done, f"{kind} is carried out", SETTLING)

    def fire(self, dice: random.Random) -> None:
        """Write until enough is acknowledged, with the switches in their order and the kills anywhere between."""
        kills = [self.kill_gateway, *(lambda name=name: self.kill_worker(name) for name in WORKERS), *self.faults]
        events: list[Callable[[], None] | None] = [kills[n % len(kills)] for n in range(KILLS)]
        events += [None] * len(SWITCHES)
        dice.shuffle(events)
        switches = iter(SWITCHES)
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [Writer(self.system.base, self.system.key, self.sent, seed) for seed in range(CLIENTS)]
            writing = [pool.submit(client.run, WRITES) for client in clients]
            for number, event in enumerate(events, 1):
                enough = WRITES * number // (len(events) + 1)
                with self.sent.changed:
                    assert self.sent.changed.wait_for(lambda: self.sent.writes >= enough, SETTLING)  # noqa: B023
                if event is None:
                    self.switch(next(switches))
                else:
                    event()
            for each in writing:
                each.result()

    def settle(self) -> None:
        """Wait until all that is left to do in the background is done."""

        def nothing_left() -> bool:
            try:
                return not what_is_left(self.database, self.sent, str(self.registry.active))
            except PyMongoError:
                return False

        wait_until(nothing_left, "everything is in the log, and everybody has a segment", SETTLING)


@contextmanager
def _running(
    folder: Path, uri: str, client: MongoClient[Document], faults: Sequence[Callable[[], None]]
) -> Iterator[Running]:
    registry = SwitchedRegistry()
    with serving(serving_both(SwitchedModel(registry), registry)) as tier_2:
        port = free_port()
        env = {
            "MONGODB_URI": uri,
            "MODEL_SERVICE_URL": tier_2.url,
            "GATEWAY_PORT": str(port),
            "WORKER_INTERVAL": "0.2",
            **dict.fromkeys(("RATE_LIMIT", "RATE_LIMIT_BULK", "RATE_LIMIT_ANONYMOUS"), "100000000 per minute"),
        }
        system = System(folder, env, port, 0)
        running = Running(system, registry, client.get_default_database(), faults)
        try:
            for name in WORKERS:
                system.start(name, WORKER)
            system.start_gateway(GRANIAN)
            yield running
        finally:
            system.stop()


@contextmanager
def _one_node(folder: Path) -> Iterator[Running]:
    """A system on one mongod, which is killed."""
    with running_mongod() as server, MongoClient[Document](server.uri("stress")) as client:

        def die() -> None:
            server.kill()
            server.start()

        with _running(folder, server.uri("stress"), client, [die]) as running:
            yield running


@contextmanager
def _three_nodes(folder: Path) -> Iterator[Running]:
    """A system on three, of which the primary is killed, or paused until there is another one."""
    with (
        running_replica_set() as nodes,
        MongoClient[Document](nodes.uri("stress")) as client,
        _running(folder, nodes.uri("stress"), client, [nodes.kill_primary, nodes.pause_primary]) as running,
    ):
        yield running


long_only = pytest.mark.skipif(not AT_LENGTH, reason="for make stress")


@pytest.mark.parametrize("nodes", [_one_node, pytest.param(_three_nodes, marks=long_only)])
def test_what_is_acknowledged_is_told_once_and_in_order(nodes: Callable[[Path], Any], tmp_path: Path) -> None:
    with nodes(tmp_path) as running:
        over = threading.Event()
        reading = threading.Thread(target=follow, args=(running.system.base, running.system.key, over, running.seen))
        reading.start()
        try:
            running.fire(random.Random(WRITES))
            running.settle()
        finally:
            over.set()
            reading.join()
        log = list(running.database["changes"].find().sort("_id", 1))
        each_acknowledged_change_is_there_once(running.sent, log)
        _each_switch_is_there_once(running, log)
        numbers_have_no_gap(running.database, log)
        _readers_have_missed_nothing(running, log)
        _segments_are_as_the_log_and_the_model_say(running, log)
        _sizes_are_those_of_the_list(running)


def _each_switch_is_there_once(running: Running, log: Sequence[Document]) -> None:
    switched = Counter(TYPES[activation["kind"]] for activation in running.registry.history)
    outcome = [e for e in log if e["type"].startswith("model.") and "outcome" not in e.get("data", {})]
    assert Counter(entry["type"] for entry in outcome) == switched


def _readers_have_missed_nothing(running: Running, log: Sequence[Document]) -> None:
    assert all(earlier < later for earlier, later in pairwise(running.seen))
    again: list[int] = []
    over = threading.Event()
    over.set()
    follow(running.system.base, running.system.key, over, again)
    assert running.seen == again
    assert len(again) > len(log) // 2


def _segments_are_as_the_log_and_the_model_say(running: Running, log: Sequence[Document]) -> None:
    lives, active = lives_of(log), str(running.registry.active)
    for customer in running.database["customers"].find():
        assert customer["segment"]["id"] == segment_of(customer["BALANCE"], active), customer
        moves = [e["segment"] for e in lives.get((customer["_id"], customer["created_at"]), []) if "segment" in e]
        assert all(earlier["to"] == later["from"] for earlier, later in pairwise(moves)), customer
        assert not moves or moves[-1]["to"] == customer["segment"]["id"], customer


def _sizes_are_those_of_the_list(running: Running) -> None:
    counted = Counter(customer["segment"]["id"] for customer in running.database["customers"].find())

    def sizes() -> dict[str, int]:
        answer = running.system.http.get(f"{running.system.base}/api/v1/segments/sizes", timeout=30)
        points = answer.json().get("items") or [{"segments": []}]
        return {segment["id"]: segment["size"] for segment in points[-1]["segments"] if segment["size"]}

    wait_until(lambda: sizes() == counted, f"the snapshot says {dict(counted)}", SETTLING)
