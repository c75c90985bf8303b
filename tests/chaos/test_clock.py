"""The clock of gateway, worker and model service jumps by an hour, and back again (by libfaketime)."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from pymongo import MongoClient
from support.customers import body
from support.servers import Mongod
from support.told_once import lives_of
from support.under_fire import Fire, Row
from support.whole_system import whole_system

from tests.e2e.conftest import GRANIAN, UVICORN, WORKER, System

LONGEST = 12.0
HOUR = 3600
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
Table = Callable[[Row], None]

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime (Debian: faketime)")


@dataclass
class Clock:
    """The wall clock of some processes; what only counts on, such as time-outs, is right."""

    file: Path

    def jump(self, seconds: int) -> None:
        """Let it be so much ahead of the right time."""
        draft = self.file.with_suffix(".new")
        draft.write_text(f"{seconds:+d}\n")
        draft.replace(self.file)

    def over(self, command: list[str]) -> list[str]:
        """Return the command of a process that goes by this clock."""
        settings = ["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", f"FAKETIME_TIMESTAMP_FILE={self.file}"]
        return ["env", f"LD_PRELOAD={LIBRARY}", *settings, *command]


@pytest.mark.parametrize("by", [HOUR, -HOUR], ids=["forwards", "backwards"])
def test_jump(by: int, mongod: Mongod, sample_models: Path, tmp_path: Path, table: Table) -> None:
    """Nothing is lost, nothing is told twice, nobody is refused, and times of a customer never go backwards."""
    uri = mongod.uri(f"chaos_{time.time_ns()}")
    clock = Clock(tmp_path / "clock")
    clock.jump(0)
    shutil.copytree(sample_models, tmp_path / "models")
    with whole_system(tmp_path, uri, workers=[], models=tmp_path / "models") as system:
        for name, command in (("model", UVICORN), ("gateway", GRANIAN)):
            system.kill(name)
            (system.start_model if name == "model" else system.start_gateway)(clock.over(command))
        system.start("worker 1", clock.over(WORKER))
        system.start("worker 2", WORKER)  # its clock is right: the two must not disturb each other
        fire = Fire(system.base, system.key, uri, LONGEST)
        with fire.lit():
            before = _Before(system)
            with fire.fault():
                clock.jump(by)
                fire.acknowledged(60)
                before.holds(by)
                clock.jump(0)
            recovered = fire.recovers(10)
            fire.acknowledged(60)
            before.holds(0)
        fire.said_ready_all_along()
        assert not [answer for answer in fire.sent.answers if answer.status in (401, 403, 429)]
        fire.proved(active=str(json.loads((tmp_path / "models" / "active.json").read_text())["version"]))
        _times_never_go_backwards(uri)
    way = "forwards" if by > 0 else "backwards"
    table(fire.row(f"Clock jumps {way}", "gateway, a worker and model service by an hour, and back", recovered))


class _Before:
    """What was begun before the clock jumped, and must go on afterwards."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._key = f"clock-{time.time_ns()}"
        self._customer = body(f"CLOCK{time.time_ns()}")
        self._first = self._create()
        assert self._first.status_code == 201, self._first.text
        self._cursor = self._get("customers?limit=1&sort=-BALANCE")["next_cursor"]
        self._events = self._get("events?after=0&limit=1")["next_cursor"]
        self._right = time.time()

    def _create(self) -> requests.Response:
        headers = {"Idempotency-Key": self._key}
        url = f"{self._system.base}/api/v1/customers"
        return self._system.http.post(url, json=self._customer, headers=headers, timeout=30)

    def _get(self, path: str) -> dict[str, Any]:
        answer = self._system.http.get(f"{self._system.base}/api/v1/{path}", timeout=30)
        assert answer.ok, (path, answer.text)
        return dict(answer.json())

    def holds(self, by: int) -> None:
        """Assert that what was begun before goes on, while the clock is so much ahead."""
        again = self._create()
        assert (again.status_code, again.json()["updated_at"]) == (201, self._first.json()["updated_at"])
        assert self._get(f"customers?limit=5&sort=-BALANCE&cursor={self._cursor}")["items"]
        assert self._get(f"events?after={self._events}&limit=5")["items"]
        cust_id = self._customer["CUST_ID"]
        history = self._get(f"customers/{cust_id}/history")["items"]
        assert history
        # As of the moment after it was created, by the time that the gateway gave it.
        made = self._first.json()["updated_at"]
        if by >= 0:
            assert self._get(f"customers/{cust_id}/segment?as_of={made}")
        key = self._system.http.post(
            f"{self._system.base}/api/v1/api-keys",
            json={"name": "clock", "scopes": ["customers:read"], "expires_in_days": 1},
            timeout=30,
        ).json()["key"]
        url = f"{self._system.base}/api/v1/customers?limit=1"
        for _ in range(3):
            answer = requests.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
            assert answer.ok, answer.text
            assert int(answer.headers["RateLimit-Remaining"]) > 0


def _times_never_go_backwards(uri: str) -> None:
    with MongoClient(uri) as client:
        log = list(client.get_default_database()["changes"].find().sort("_id", 1))
        for life, entries in lives_of(log).items():
            times = [entry["at"] for entry in entries]
            assert all(earlier <= later for earlier, later in pairwise(times)), (life, times)
        for customer in client.get_default_database()["customers"].find():
            assert customer["created_at"] <= customer["updated_at"]
