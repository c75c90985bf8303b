"""Drives wrk against a server and accounts for the CPU that the server's processes used meanwhile."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

SCRIPT = Path(__file__).with_name("requests.lua")
SERVER_CORE, LOAD_CORE = 0, 1

Request = tuple[str, str, bytes]
"""(method, path, body)."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Medians over the rounds: requests per second, latency, and CPU per request of each named process tree."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: Mapping[str, float]
    spread: float


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process and its descendants, those that have ended included."""
    total = 0.0
    for each in [process, *process.children(recursive=True)]:
        times = each.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def start(command: Sequence[str], env: Mapping[str, str], log: Path, core: int = SERVER_CORE) -> psutil.Popen:
    """Start a process on one core, in a session of its own, its output in `log`."""
    return psutil.Popen(
        ["taskset", "-c", str(core), *command],
        env={**os.environ, **env},
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def stop(process: psutil.Popen) -> None:
    """End a process and its descendants."""
    family = [process, *process.children(recursive=True)]
    process.terminate()
    _, alive = psutil.wait_procs(family, timeout=10)
    for each in alive:
        each.kill()


@contextmanager
def request_file(folder: Path, requests: Iterable[Request]):
    """Write the requests where the wrk script reads them."""
    path = folder / "requests.tsv"
    with path.open("wb") as file:
        for method, target, body in requests:
            file.write(b"%s\t%s\t%s\n" % (method.encode(), target.encode(), body))
    yield path
    path.unlink()


def measure(
    port: int,
    requests: Path,
    headers: Mapping[str, str],
    trees: Mapping[str, psutil.Process],
    *,
    rounds: int = 3,
    seconds: int = 5,
    connections: int = 16,
) -> Measure:
    """Send the requests in a closed loop and return medians over `rounds` rounds after one second of warm-up."""
    _wrk(port, requests, headers, 1, connections)
    results = []
    for _ in range(rounds):
        before = {name: cpu_seconds(tree) for name, tree in trees.items()}
        result = _wrk(port, requests, headers, seconds, connections)
        result["cpu"] = {
            name: (cpu_seconds(tree) - before[name]) * 1000 / result["requests"] for name, tree in trees.items()
        }
        results.append(result)
    rates = [r["requests"] / r["seconds"] for r in results]
    return Measure(
        per_second=statistics.median(rates),
        p50_ms=statistics.median(r["p50_ms"] for r in results),
        p99_ms=statistics.median(r["p99_ms"] for r in results),
        cpu_ms={name: statistics.median(r["cpu"][name] for r in results) for name in trees},
        spread=(max(rates) - min(rates)) / statistics.median(rates),
    )


def _wrk(port: int, requests: Path, headers: Mapping[str, str], seconds: int, connections: int) -> dict:
    wrk = shutil.which("wrk") or sys.exit("wrk is needed: apt-get install wrk")
    unique = str(time.time_ns() // 1_000_000 * 1000)  # Lua counts in doubles: stay below 2**53
    shown = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    options = [*shown, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(SCRIPT)]
    command = ["taskset", "-c", str(LOAD_CORE), wrk, *options, f"http://127.0.0.1:{port}", "--", str(requests), unique]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"^RESULT (.*)$", output, re.MULTILINE)
    assert found, output
    result = json.loads(found[1])
    if result["bad"]:
        sys.exit(f"{result['bad']} of {result['requests']} requests failed: the figures would mean nothing\n{output}")
    return result
