"""The gateway is told to stop under load, and gets ten times the load that it can carry; under both servers."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from fakes.registry import OLD
from pymongo import MongoClient
from support.customers import inputs
from support.gateway_process import SERVERS, new_key
from support.scripted_server import serving
from support.served_model import SwitchedModel, SwitchedRegistry, serving_both
from support.servers import Mongod
from support.under_fire import Fire, Row
from support.whole_system import gateway_command, whole_system

from gateway.services.access.concurrency import concurrency_limits
from gateway.settings import Settings
from shared.features import INPUT_NAMES
from tests.e2e.conftest import System, wait_until

LONGEST = 12.0
Table = Callable[[Row], None]
ROWS = 10_000
each_server = pytest.mark.parametrize("server", SERVERS)


@pytest.fixture
def tier_2() -> Iterator[str]:
    registry = SwitchedRegistry()
    with serving(serving_both(SwitchedModel(registry), registry)) as server:
        yield server.url


def _uri(mongod: Mongod) -> str:
    return mongod.uri(f"chaos_{time.time_ns()}")


class SlowFile:
    """A file of customers that takes some seconds to send, so that the gateway stops in the middle of it."""

    def __init__(self, rows: int) -> None:
        values = ",".join(map(str, inputs().values()))
        lines = [f"CUST_ID,{','.join(INPUT_NAMES)}", *(f"S{n:06},{values}" for n in range(rows))]
        self._content = "\n".join(lines).encode()
        self.at = 0

    def __len__(self) -> int:
        return len(self._content)

    def read(self, size: int) -> bytes:
        time.sleep(0.02)
        piece = self._content[self.at : self.at + size]
        self.at += size
        return piece


class TestToldToStop:
    @each_server
    def test_under_load(self, server: str, mongod: Mongod, tier_2: str, tmp_path: Path, table: Table) -> None:
        """What has been begun is answered, an import among it; nothing that was not answered has been done."""
        uri = _uri(mongod)
        with whole_system(tmp_path, uri, server=server, MODEL_SERVICE_URL=tier_2, GATEWAY_WORKERS=2) as system:
            fire = Fire(system.base, system.key, uri, LONGEST)
            fire.clients = 8
            with ThreadPoolExecutor(2) as pool, fire.lit():
                keys = [new_key(uri, "admin") for _ in range(2)]
                waits = f"{system.base}/api/v1/events?after=now&type=model.rolled_back&wait=25"
                long_poll = pool.submit(_ask, "GET", waits, keys[0])
                file = SlowFile(ROWS)
                sent = pool.submit(_ask, "POST", f"{system.base}/api/v1/imports", keys[1], file)
                wait_until(lambda: file.at > len(file) // 4, "the import is under way")
                with fire.fault():
                    process = system._processes.pop("gateway")
                    process.send_signal(signal.SIGTERM)
                    stopped = process.wait(40)
                took = fire.ended - fire.began
                imported, polled = sent.result(), long_poll.result()
                system.start_gateway(gateway_command(server))
                fire.ended = time.monotonic()
                recovered = fire.recovers(10)
                fire.acknowledged(30)
            assert stopped == 0
            assert imported.status_code == 201, imported.text
            assert imported.json()["created"] == ROWS
            assert polled.status_code < 500 or polled.status_code == 503, polled.text
            fire.proved(unanswered=True, active=OLD)
            _unanswered_is_undone(fire, uri)
        done = f"`SIGTERM` with an import, a long poll and 8 clients; ended after {took:.1f} s, then started again"
        table(fire.row(f"Gateway told to stop ({server})", done, recovered))


def _ask(method: str, url: str, key: str, data: Any = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "text/csv"}
    return requests.request(method, url, data=data, headers=headers, timeout=60)


def _unanswered_is_undone(fire: Fire, uri: str) -> None:
    """Assert that whoever was not answered, as the gateway stopped, has not been served either."""
    names = [answer.request_id for answer in fire.sent.answers if answer.status is None]
    with MongoClient(uri) as client:
        done = client.get_default_database()["changes"].distinct("request_id", {"request_id": {"$in": names}})
    assert done == []


SECONDS = 12
_TAKEN_IN = concurrency_limits(Settings.model_fields["threads"].default).records
CONNECTIONS = 10 * (_TAKEN_IN.places + _TAKEN_IN.waiting)
"""Ten times the requests for single customers that a process takes in, to carry them out or to let them wait."""
FLAT = 1.15
"""How much more memory the second half of the flood may take than the first."""


class TestTooMuchLoad:
    @each_server
    def test_ten_times_as_much(self, server: str, mongod: Mongod, tier_2: str, tmp_path: Path, table: Table) -> None:
        uri = _uri(mongod)
        with whole_system(tmp_path, uri, server=server, MODEL_SERVICE_URL=tier_2) as system:
            fire = Fire(system.base, system.key, uri, 2 * LONGEST)
            keys = [new_key(uri, "admin") for _ in range(4)]
            with fire.lit():
                memory: list[int] = []
                over = threading.Event()
                watching = threading.Thread(target=_watch, args=(system._processes["gateway"].pid, memory, over))
                calm = _load(system, keys, tmp_path, _TAKEN_IN.places)
                watching.start()
                with fire.fault():
                    said = _load(system, keys, tmp_path, CONNECTIONS)
                recovered = fire.recovers(5)
                over.set()
                watching.join()
                fire.acknowledged(30)
            fire.proved(active=OLD)
        statuses = Counter({name: count for name, count in said.items() if name.isdigit()})
        offered, carried = statuses.total(), statuses["200"] + statuses["201"]
        assert set(statuses) <= {"200", "201", "503"}, said
        assert said["bare"] == 0, "every 503 has Retry-After"
        assert statuses["503"] > carried / 2, said
        # A gateway that carries next to nothing refuses most.
        could = calm["200"] + calm["201"]
        assert carried > could / 3, f"{carried} carried, {could} with as many clients as it has places for"
        half = len(memory) // 2
        assert max(memory[half:]) <= FLAT * max(memory[:half]), memory
        done = (
            f"{CONNECTIONS} connections: {offered / SECONDS:.0f} requests/s, of which {carried / SECONDS:.0f} carried, "
            f"against {could / SECONDS:.0f} with as many as it has places for"
        )
        done += f"; memory at most {max(memory) / 2**20:.0f} MiB"
        table(fire.row(f"Ten times the load ({server})", done, recovered))


def _watch(pid: int, memory: list[int], over: threading.Event) -> None:
    while not over.wait(0.25):
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        memory.append(sum(process.memory_info().rss for process in family))


_SCRIPT = """
local keys, n, said = {%s}, 0, {}
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() counts = {} ; bare = 0 end
function request()
  n = n + 1
  local head = {["Authorization"] = "Bearer " .. keys[n %% #keys + 1], ["Content-Type"] = "application/json"}
  return wrk.format("PUT", "/api/v1/customers/FLOOD" .. (n %% 500), head, [[%s]])
end
function response(status, headers)
  local name = tostring(status)
  counts[name] = (counts[name] or 0) + 1
  if status == 503 and not (headers["Retry-After"] or headers["retry-after"]) then bare = bare + 1 end
end
function done(summary)
  local all = {bare = 0, timeout = summary.errors.timeout, connect = summary.errors.connect}
  for _, thread in ipairs(threads) do
    for name, count in pairs(thread:get("counts")) do all[name] = (all[name] or 0) + count end
    all.bare = all.bare + thread:get("bare")
  end
  local parts = {}
  for name, count in pairs(all) do table.insert(parts, string.format('"%%s": %%d', name, count)) end
  io.write("SAID {" .. table.concat(parts, ", ") .. "}\\n")
end
"""


def _load(system: System, keys: list[str], folder: Path, connections: int) -> Counter[str]:
    script = folder / "flood.lua"
    quoted = ", ".join(f'"{key}"' for key in keys)
    script.write_text(_SCRIPT % (quoted, json.dumps(inputs())))
    options = ["-t1", f"-c{connections}", f"-d{SECONDS}s", "--timeout", "30s", "-s", str(script)]
    done = subprocess.run(["wrk", *options, system.base], capture_output=True, text=True, timeout=120, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("SAID "))
    return Counter(json.loads(line.removeprefix("SAID ")))
