"""How fast a large file is imported and all customers are scored anew, what each process pays for it, and its memory.

All processes run unpinned on all cores, as ``make run`` starts them: mongod, both tiers and the worker.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import click
import psutil
import requests
from pymongo import MongoClient

from gateway.data_access.mongo.customer_schema import SORT_INDEXES
from gateway.development import mongod
from tests.benchmarks.floors import rescored_by_hand
from tests.benchmarks.load import cpu_seconds, stop
from tests.conftest import ROOT, SAMPLE_CSV

PYTHON = sys.executable
NEW_KEY = [PYTHON, "-m", "gateway", "keys", "create", "--name", "benchmark", "--scope", "admin"]
COUNTS = ("created", "updated", "unchanged", "rejected", "pending")


class System(NamedTuple):
    """Where the gateway is, a key for it, the database's address, and the process trees by name."""

    base: str
    key: str
    uri: str
    trees: Mapping[str, psutil.Process]


class Cost(NamedTuple):
    """Seconds, and for each process tree its CPU seconds and its largest process at its largest (MB)."""

    seconds: float
    cpu: Mapping[str, float]
    peak: Mapping[str, float]


@contextmanager
def running(folder: Path, store: Path) -> Iterator[System]:
    """Run all processes of the system."""
    ports = {name: _free_port() for name in ("mongod", "model", "gateway")}
    uri = mongod.uri(ports["mongod"], "bench")
    env = {
        **os.environ,
        "DEPLOYMENT": "development",
        "MONGODB_URI": uri,
        "MODEL_SERVICE_URL": f"http://127.0.0.1:{ports['model']}",
        "MODEL_PORT": str(ports["model"]),
        "MODEL_STORE": str(store),
        "GATEWAY_PORT": str(ports["gateway"]),
    }
    commands = {
        "mongod": mongod.command(folder / "mongo", ports["mongod"]),
        "model": [PYTHON, "-m", "model_service", "serve"],
        "gateway": [PYTHON, "-m", "gateway", "serve"],
        "worker": [PYTHON, "-m", "gateway", "worker"],
    }
    base = f"http://127.0.0.1:{ports['gateway']}"
    with ExitStack() as stack:
        trees = {}
        for name, command in commands.items():
            log = stack.enter_context((folder / f"{name}.log").open("w"))
            trees[name] = psutil.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
            stack.callback(stop, trees[name])
            if name == "mongod":
                mongod.wait_for_primary(ports["mongod"])
        _wait(lambda: requests.get(f"{base}/health/ready", timeout=5).json()["model_service"] == "ok")
        key = subprocess.run(NEW_KEY, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        yield System(base, key, uri, trees)


def _wait(holds: Callable[[], bool], seconds: float = 600) -> None:
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        with suppress(requests.RequestException, KeyError):
            if holds():
                return
        time.sleep(0.2)
    sys.exit("the system did not get so far; its logs are in the benchmark's folder")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sent(system: System, file: Path, media_type: str) -> tuple[dict[str, Any], Cost]:
    """Send a file with curl, whose own cost stays out of the account; return the receipt."""
    command = ["curl", "--silent", "--show-error", "--fail-with-body", "--request", "POST", "--upload-file", str(file)]
    headers = [f"Content-Type: {media_type}", f"Authorization: Bearer {system.key}"]
    command += [word for header in headers for word in ("--header", header)]
    before = {name: cpu_seconds(tree) for name, tree in system.trees.items()}
    with _peaks(system.trees) as peak:
        begun = time.perf_counter()
        answer = subprocess.run([*command, f"{system.base}/api/v1/imports"], stdout=subprocess.PIPE, check=True)
        seconds = time.perf_counter() - begun
    cpu = {name: cpu_seconds(tree) - before[name] for name, tree in system.trees.items()}
    return json.loads(answer.stdout), Cost(seconds, cpu, peak)


@contextmanager
def _peaks(trees: Mapping[str, psutil.Process]) -> Iterator[dict[str, float]]:
    peak = dict.fromkeys(trees, 0.0)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            for name, tree in trees.items():
                with suppress(psutil.NoSuchProcess):
                    family = [tree, *tree.children(recursive=True)]
                    peak[name] = max(peak[name], *(process.memory_info().rss / 1e6 for process in family))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def report(what: str, receipt: Mapping[str, Any], cost: Cost) -> None:
    """Print a Markdown table row."""
    rows = receipt["rows"]
    cpu = [f"{cost.cpu[name] / rows * 1e6:.1f}" for name in cost.cpu]
    peak = [f"{megabytes:.0f}" for megabytes in cost.peak.values()]
    counts = ", ".join(f"{receipt[name]:,} {name}" for name in COUNTS if receipt[name])
    cells = [what, counts, f"{rows / cost.seconds:,.0f}", *cpu, *peak, f"{os.getloadavg()[0]:.1f}"]
    click.echo(f"| {' | '.join(cells)} |")


def _indexes_built(system: System) -> float:
    """Return how many seconds it takes until the worker has built the indexes of lists."""
    begun = time.perf_counter()
    with MongoClient[dict[str, Any]](system.uri) as client:
        customers = client.get_default_database()["customers"]
        names = {index.document["name"] for index in SORT_INDEXES}
        _wait(lambda: names <= set(customers.index_information()))
    return time.perf_counter() - begun


@contextmanager
def _suspended(tree: psutil.Process) -> Iterator[None]:
    family = [tree, *tree.children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()


def rescored(system: System, moved: float) -> None:
    """Print how fast customers are scored anew: first the floor, raw bulk writes with the same indexes, then ours.

    The floor leaves all customers with a segment by another version, and the share `moved` in another segment: to the
    worker that is what an activation brings about.
    """
    with MongoClient[dict[str, Any]](system.uri) as client:
        customers = client.get_default_database()["customers"]
        rows = customers.estimated_document_count()
        before = {name: cpu_seconds(tree) for name, tree in system.trees.items()}
        with _suspended(system.trees["worker"]):
            floor = rescored_by_hand(system.uri, ANOTHER, moved)
            customers.find_one({"segment.model_version": ANOTHER})
            cpu = {name: cpu_seconds(tree) - before[name] for name, tree in system.trees.items()}
            click.echo(_rescoring_row("floor: raw bulk writes", rows, floor, cpu))
            before = {name: cpu_seconds(tree) for name, tree in system.trees.items()}
        begun = time.perf_counter()
        _wait(lambda: customers.find_one({"segment.model_version": ANOTHER}, {"_id": 1}) is None, 3_600)
        seconds = time.perf_counter() - begun
    cpu = {name: cpu_seconds(tree) - before[name] for name, tree in system.trees.items()}
    click.echo(_rescoring_row("the worker", rows, seconds, cpu))
    click.echo(f"the worker reaches {floor / seconds:.2f} of the floor")


ANOTHER = "20000101T000000Z-00000000"
"""A version that is not the active one."""


def _rescoring_row(what: str, rows: int, seconds: float, cpu: Mapping[str, float]) -> str:
    cells = [what, f"{rows:,}", f"{rows / seconds:,.0f}", *(f"{spent / rows * 1e6:.1f}" for spent in cpu.values())]
    return f"| {' | '.join(cells)} |"


@click.command()
@click.option("--moved", default=0.1, show_default=True, help="The share of the customers that re-scoring moves.")
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--csv", "file", type=click.Path(exists=True, path_type=Path), help="A file instead of a generated one.")
def main(rows: int, file: Path | None, moved: float) -> None:
    """Import a large CSV file into an empty system, again when all is stored, and score all customers anew."""
    click.echo(f"load average before: {os.getloadavg()[0]:.2f}; cores: {os.cpu_count()}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        if file is None:
            file = folder / "customers.csv"
            generate = [PYTHON, "data/generate.py", "--rows", str(rows), "--seed", "2", "--out", str(file)]
            subprocess.run(generate, cwd=ROOT, check=True)
        train = [PYTHON, "-m", "model_service", "train", str(SAMPLE_CSV), "--k", "6", "--store", str(folder / "models")]
        subprocess.run(train, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        with running(folder, folder / "models") as system:
            names = list(system.trees)
            columns = [
                "import",
                "rows",
                "rows/s",
                *(f"{n} CPU µs/row" for n in names),
                *(f"{n} peak MB" for n in names),
            ]
            click.echo(f"| {' | '.join([*columns, 'load'])} |\n|{'---|' * (len(columns) + 1)}")
            report("into an empty store", *sent(system, file, "text/csv"))
            click.echo(f"the worker built the indexes of lists in {_indexes_built(system):.0f} s more")
            report("the same again", *sent(system, file, "text/csv"))
            columns = ["re-scoring", "rows", "rows/s", *(f"{n} CPU µs/row" for n in names)]
            click.echo(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
            rescored(system, moved)


if __name__ == "__main__":
    main()
