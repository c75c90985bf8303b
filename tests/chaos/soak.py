"""A system under steady load for long, and what its processes hold meanwhile: ``make soak`` (SOAK_MINUTES=30).

Fails where memory, threads, descriptors or connections of a process grow: by the slope of a straight line through what
was seen every ten seconds after a while to warm up.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import click
import psutil
import requests
from support.random_writes import Client, Sent
from support.servers import Mongod, running_mongod
from support.whole_system import whole_system

from tests.conftest import SAMPLE_CSV
from tests.e2e.conftest import System

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
RATE = float(os.environ.get("SOAK_RATE", "40"))
"""Requests a second, of all clients together."""
CLIENTS = 4
EVERY = 10.0
WARM_UP = 0.3
"""Which part of the time is not looked at: pools fill, caches fill, and a thread is kept for each that was needed."""
ACTIVATIONS = 120.0
"""Seconds between two activations, in turn of two versions, each of which scores everybody anew."""


class Kind(NamedTuple):
    """Something a process holds.

    Attributes
    ----------
    share, amount : what it may grow by over the time looked at: a part of what it was, or so much, whichever is more.
    """

    name: str
    share: float
    amount: float


KINDS = (
    Kind("pss_mib", 0.10, 16.0),
    Kind("rss_mib", 0.10, 16.0),
    Kind("threads", 0.15, 6.0),
    Kind("files", 0.15, 8.0),
    Kind("connections", 0.15, 8.0),
)


MEMORY = ("pss_mib", "rss_mib")
MONGOD_MIB = 1024 + 512
"""mongod keeps what it reads and writes, up to the cache that `gateway.development.mongod` gives it (1 GiB): that it
grows with the change log says nothing."""


@dataclass
class Seen:
    """What the processes of each name held, every ten seconds."""

    at: list[float] = field(default_factory=list)
    held: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def look(self, processes: Mapping[str, psutil.Process]) -> None:
        """Note what they hold now, their children included."""
        self.at.append(time.monotonic())
        for name, process in processes.items():
            sums = self._sums([process, *process.children(recursive=True)])
            for kind, value in sums.items():
                self.held.setdefault(name, {}).setdefault(kind, []).append(value)

    @staticmethod
    def _sums(family: Sequence[psutil.Process]) -> dict[str, float]:
        sums = dict.fromkeys((kind.name for kind in KINDS), 0.0)
        for process in family:
            try:
                memory = process.memory_full_info()
                found = (memory.pss / 2**20, memory.rss / 2**20, process.num_threads(), process.num_fds())
                connections = len(process.net_connections("tcp"))
            except psutil.NoSuchProcess:  # a training's, which has just ended
                continue
            for kind, value in zip(KINDS, (*found, connections), strict=True):
                sums[kind.name] += value
        return sums


class Growth(NamedTuple):
    """How something grew, by the straight line through what was seen."""

    first: float
    last: float
    least: float
    most: float

    @property
    def grown(self) -> float:
        """By how much, from the begin of the line to its end."""
        return self.last - self.first

    def too_much(self, kind: Kind) -> bool:
        """Whether that is more than what comes and goes."""
        return self.grown > max(kind.amount, kind.share * self.first)


def growth(at: Sequence[float], values: Sequence[float]) -> Growth:
    """Return the growth after the warm-up."""
    start = int(len(values) * WARM_UP)
    times, rest = at[start:], values[start:]
    line = statistics.linear_regression(times, rest)
    first, last = (line.intercept + line.slope * moment for moment in (times[0], times[-1]))
    return Growth(first, last, min(rest), max(rest))


@contextmanager
def running(folder: Path) -> Iterator[tuple[System, Mongod]]:
    """Run everything, with a model of the sample and its customers."""
    with running_mongod() as server:
        uri = server.uri("soak")
        models = folder / "models"
        with whole_system(folder, uri, workers=["worker"], models=_trained(models), LOG_LEVEL="WARNING") as system:
            system.run("gateway", "import", str(SAMPLE_CSV), seconds=300)
            yield system, server


def _trained(models: Path) -> Path:
    """Train two versions, with few refits."""
    from model_service.report.document import write
    from model_service.store.registry import ModelStore
    from model_service.training import calibration
    from model_service.training.dataset import read_customers
    from model_service.training.parallel import NoProgress
    from model_service.training.trainer import Options, train_version

    calibration.REFITS = calibration.HELD_OUT = 3  # type: ignore[misc]  # the many of a real training say nothing here
    store, customers = ModelStore(models), read_customers(SAMPLE_CSV)
    for k in (6, 5):
        options = Options(ks=(k,))
        store.activate(train_version(store, customers, options, NoProgress(), write)["version"], "soak", "soak", True)
    return models


def activate(system: System, over: threading.Event, done: list[str]) -> None:
    """Let one version follow the other."""
    with requests.Session() as http:
        http.headers["Authorization"] = f"Bearer {system.key}"
        api = f"{system.base}/api/v1/models"
        while not over.wait(ACTIVATIONS):
            found = http.get(api, timeout=30).json()
            other = next(item["version"] for item in found["items"] if item["version"] != found["active"])
            order = {"reason": "soak", "by": "soak", "force": True}
            answer = http.post(f"{api}/{other}/activate", json=order, timeout=60)
            done.append(f"{answer.status_code}")


def follow_events(system: System, over: threading.Event, statuses: list[int]) -> None:
    """Wait for events, all the time."""
    with requests.Session() as http:
        http.headers["Authorization"] = f"Bearer {system.key}"
        cursor = "now"
        while not over.is_set():
            url = f"{system.base}/api/v1/events"
            answer = http.get(url, params={"after": cursor, "wait": "10", "limit": "200"}, timeout=60)
            statuses.append(answer.status_code)
            if answer.ok:
                cursor = answer.json()["next_cursor"]
            else:
                time.sleep(1)


def soak(system: System, server: Mongod) -> tuple[Seen, Sent, list[str]]:
    """Load the system for as long as is asked, and return what was seen."""
    over, sent, seen, activations, polled = threading.Event(), Sent(), Seen(), list[str](), list[int]()
    clients = [Client(system.base, system.key, sent, seed) for seed in range(CLIENTS)]
    threads = [threading.Thread(target=client.run_until, args=(over, CLIENTS / RATE)) for client in clients]
    threads.append(threading.Thread(target=activate, args=(system, over, activations)))
    threads.append(threading.Thread(target=follow_events, args=(system, over, polled)))
    processes = {name: psutil.Process(process.pid) for name, process in system._processes.items()}
    assert server.process is not None
    processes["mongod"] = psutil.Process(server.process.pid)
    for thread in threads:
        thread.start()
    try:
        ends_at = time.monotonic() + MINUTES * 60
        while (left := ends_at - time.monotonic()) > 0:
            time.sleep(min(EVERY, left))
            seen.look(processes)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    return seen, sent, activations


def report(seen: Seen, sent: Sent, activations: Sequence[str]) -> list[str]:
    """Print the table, and return what is wrong."""
    wrong = []
    click.echo(f"{len(sent.answers)} requests in {MINUTES:g} minutes: {dict(sent.statuses.most_common())}")
    click.echo(f"{len(activations)} activations: {activations}; {len(seen.at)} looks\n")
    click.echo("| process | what | at first | at last | least | most | grown |\n|---|---|---|---|---|---|---|")
    for name, kinds in seen.held.items():
        for kind in KINDS:
            g = growth(seen.at, kinds[kind.name])
            cells = (f"{value:.0f}" for value in (g.first, g.last, g.least, g.most, g.grown))
            click.echo(f"| {name} | {kind.name} | {' | '.join(cells)} |")
            if kind.name in MEMORY and name == "mongod":
                if g.most > MONGOD_MIB:
                    wrong.append(f"mongod holds {g.most:.0f} MiB, more than its cache and what it needs beside")
            elif g.too_much(kind):
                wrong.append(f"{name} holds more and more: {kind.name} {g.first:.0f} to {g.last:.0f}")
    wrong += [f"500: {answer}" for answer in sent.answers if answer.status == 500]
    refused = [answer for answer in sent.answers if answer.status is None or answer.status >= 500]
    if len(refused) > len(sent.answers) / 100:
        wrong.append(f"{len(refused)} of {len(sent.answers)} requests were refused: {refused[:5]}")
    return wrong


def main() -> None:
    """Run the soak; exit with 1 where something grew."""
    os.environ.setdefault("DEPLOYMENT", "development")
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # as in the image of the gateway
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        with running(folder) as (system, server):
            wrong = report(*soak(system, server))
    finally:
        shutil.rmtree(folder)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
