"""The clock of gateway, worker and model service jumps by an hour, and back again.

libfaketime would do, but up to 0.9.10 it breaks `time.sleep` of Python 3.11 where the monotonic clock is to stay right:
it takes CLOCK_MONOTONIC for a faked clock in clock_nanosleep. So a library of some lines is compiled.
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from pymongo import MongoClient
from support.customers import body
from support.servers import Mongod
from support.under_fire import Fire, Row
from support.whole_system import whole_system

from tests.e2e.conftest import GRANIAN, UVICORN, WORKER, System

LONGEST = 12.0
HOUR = 3600
COMPILER = shutil.which("cc")
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static volatile long *ahead;
static int (*right)(clockid_t, struct timespec *);
__attribute__((constructor)) static void begin(void) {
    right = dlsym(RTLD_NEXT, "clock_gettime");
    int file = open(getenv("CLOCK_AHEAD"), O_RDONLY);
    ahead = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
}
int clock_gettime(clockid_t clock, struct timespec *found) {
    if (!right) begin();
    int failed = right(clock, found);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) found->tv_sec += *ahead;
    return failed;
}
int gettimeofday(struct timeval *found, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    found->tv_sec = now.tv_sec;
    found->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found) *found = now.tv_sec;
    return now.tv_sec;
}
"""
Table = Callable[[Row], None]

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")


class Clock:
    """The wall clock of some processes; what only counts on, such as time-outs, is right."""

    def __init__(self, folder: Path) -> None:
        self._ahead, self._library = folder / "ahead", folder / "clock.so"
        self._ahead.write_bytes(bytes(8))
        assert COMPILER is not None
        build = [COMPILER, "-O1", "-shared", "-fPIC", "-x", "c", "-", "-o", str(self._library), "-ldl"]
        subprocess.run(build, input=SHIM, text=True, check=True)

    def jump(self, seconds: int) -> None:
        """Let it be so much ahead of the right time."""
        with self._ahead.open("r+b") as file:
            file.write(struct.pack("l", seconds))

    def over(self, command: list[str]) -> list[str]:
        """Return the command of a process that goes by this clock."""
        return ["env", f"LD_PRELOAD={self._library}", f"CLOCK_AHEAD={self._ahead}", *command]


@pytest.mark.parametrize("by", [HOUR, -HOUR], ids=["forwards", "backwards"])
def test_jump(by: int, mongod: Mongod, sample_models: Path, tmp_path: Path, table: Table) -> None:
    """Nothing is lost, nothing is told twice, nobody is refused, and no customer's `updated_at` goes backwards."""
    uri = mongod.uri(f"chaos_{time.time_ns()}")
    clock = Clock(tmp_path)
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
        _updated_after_created(uri)
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

    def _as_of(self) -> None:
        """Assert that what lies in the future, or before the log, is refused and nothing worse."""
        path = f"customers/{self._customer['CUST_ID']}/segment?as_of={self._first.json()['updated_at']}"
        answer = self._system.http.get(f"{self._system.base}/api/v1/{path}", timeout=30)
        assert answer.status_code in (200, 410, 422), answer.text

    def holds(self, by: int) -> None:
        """Assert that what was begun before goes on, while the clock is so much ahead."""
        again = self._create()
        assert (again.status_code, again.json()["updated_at"]) == (201, self._first.json()["updated_at"])
        self._get(f"customers?limit=5&sort=-BALANCE&cursor={self._cursor}")  # others may have deleted whoever followed
        assert self._get(f"events?after={self._events}&limit=5&wait=20")["items"]
        assert self._get(f"customers/{self._customer['CUST_ID']}/history")["items"]
        self._as_of()
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


def _updated_after_created(uri: str) -> None:
    """Assert what holds of times; those of entries are each by the clock of whoever wrote it."""
    with MongoClient(uri) as client:
        for customer in client.get_default_database()["customers"].find():
            assert customer["created_at"] <= customer["updated_at"]
