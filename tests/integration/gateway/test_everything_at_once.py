"""Two gateways with different clocks, one of them paused now and then, do everything to three customers at once.

After every second each customer is living, can be restored, or was erased by somebody. ``make stress`` goes on for ten
minutes (STRESS_SECONDS).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import orjson
import pytest
from fakes.model import FakeModel
from fakes.registry import FakeRegistry
from flask import Flask
from support.customers import inputs
from support.everything_at_once import Order

from gateway.services.errors import CustomerExists, CustomerNotDeleted, CustomerNotFound
from gateway.settings import Settings
from gateway.stores import connect, mongo_stores
from gateway.wiring import Services, assemble
from tests.conftest import ROOT

CUSTOMERS = ["C1", "C2", "C3"]
SECONDS = int(os.environ.get("STRESS_SECONDS", "6"))
LONGEST_PAUSE = 0.05
DOINGS = {
    *("create", "put", "put_known", "patch", "delete", "restore", "erase", "erase_known"),
    *("batch", "batch_known", "import", "rescore"),
}
AHEAD = 5.0
"""Seconds that the second gateway's clock is ahead."""


@contextmanager
def _process(uri: str, skew: float) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "support.everything_at_once", uri, str(skew)]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def _order(process: subprocess.Popen[bytes], order: Order) -> None:
    assert process.stdin
    process.stdin.write(orjson.dumps(asdict(order)) + b"\n")
    process.stdin.flush()


def _answer(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    assert line, "the gateway's process has ended"
    answer: dict[str, Any] = orjson.loads(line)
    return answer


@contextmanager
def _paused_now_and_then(process: subprocess.Popen[bytes], dice: random.Random) -> Iterator[None]:
    over = threading.Event()

    def pause() -> None:
        while not over.wait(dice.uniform(0.0, 0.1)):
            process.send_signal(signal.SIGSTOP)
            time.sleep(dice.uniform(0.0, LONGEST_PAUSE))
            process.send_signal(signal.SIGCONT)

    pausing = threading.Thread(target=pause)
    pausing.start()
    try:
        yield
    finally:
        over.set()
        pausing.join()


@pytest.fixture
def services(mongodb_uri: str) -> Iterator[Services]:
    """A third gateway, which looks."""
    settings = Settings(mongodb_uri=mongodb_uri)
    database = connect(Flask("test"), settings)
    yield assemble(mongo_stores(database, settings), FakeModel(), FakeRegistry(), settings)
    database.client.close()


def _is_kept(services: Services, cust_id: str) -> bool:
    for find in (services.customers.get, services.deletions.get):
        with suppress(CustomerNotFound, CustomerNotDeleted):
            find(cust_id)
            return True
    return False


def test_nobody_gets_lost_who_was_not_erased(mongodb_uri: str, services: Services) -> None:
    dice = random.Random(SECONDS)
    counts: Counter[str] = Counter()
    with _process(mongodb_uri, 0.0) as first, _process(mongodb_uri, AHEAD) as second:
        for number in range(SECONDS):
            for cust_id in CUSTOMERS:
                with suppress(CustomerExists):
                    services.customers.create(cust_id, inputs())
            # Most of the time somebody who got lost must not be made anew before this test looks.
            created, erased = dice.sample(CUSTOMERS, 1), dice.sample(CUSTOMERS, dice.randrange(2))
            for process, seed in ((first, 2 * number), (second, 2 * number + 1)):
                _order(process, Order(seed, 1.0, CUSTOMERS, created, erased))
            with _paused_now_and_then(second, dice):
                answers = [_answer(process) for process in (first, second)]
            gone = {cust_id for cust_id in CUSTOMERS if not _is_kept(services, cust_id)}
            assert gone <= {cust_id for answer in answers for cust_id in answer["erased"]}, f"in second {number}"
            counts += sum((Counter(answer["counts"]) for answer in answers), Counter())
    assert {what for what in counts if what.split()[1] >= "500"} <= {f"{d} 503" for d in DOINGS}, counts
    assert {what.split()[0] for what in counts} == DOINGS, counts
    done = {what.split()[0] for what in counts if what.split()[1] < "300"}
    assert done >= {doing for doing in DOINGS if not doing.endswith("_known")}, counts  # others change what is known
