"""How fast a large base leaves as each kind of file, in how much memory, and that it reads back unchanged."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import click
import psutil
from flask import Flask

from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.development import mongod
from gateway.files.writer import KINDS
from gateway.services.customers.customer import Assignment, Customer, new_customer
from gateway.services.events.change import Origin
from gateway.services.principal import COMMAND_LINE
from gateway.settings import Settings
from gateway.stores import connect
from shared.features import CUST_ID, complete
from tests.benchmarks.load import cpu_seconds

PYTHON = sys.executable
ROOT = Path(__file__).resolve().parents[2]
EXPORTS = "/api/v1/exports/customers"
NEW_KEY = [PYTHON, "-m", "gateway", "keys", "create", "--name", "benchmark", "--scope", "admin"]
BLOCK = 5_000
SLOWLY = ["--limit-rate", "1M", "--max-time", "20"]


class Export(NamedTuple):
    """What one export cost: bytes, seconds, the gateway's CPU seconds and its largest process at its largest (MB)."""

    size: int
    seconds: float
    cpu: float
    peak: float


def generated(rows: int) -> Iterator[Customer]:
    """Yield customers as they are stored, made by the generator of the sample."""
    command = [PYTHON, str(ROOT / "data" / "generate.py"), "--rows", str(rows), "--out", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as generator:
        assert generator.stdout is not None
        for place, row in enumerate(csv.DictReader(generator.stdout)):
            cust_id = row.pop(CUST_ID)
            customer = new_customer(
                cust_id, complete({k: float(v) if v else None for k, v in row.items()}), None, Origin(COMMAND_LINE)
            )
            if place % 50:
                customer |= {"segment": _assignment(place, customer), "segment_status": "assigned"}
            yield customer


def _assignment(place: int, customer: Customer) -> Assignment:
    return Assignment(
        id=f"seg-0{place % 6 + 1}",
        confidence=place % 997 / 996,
        rival=f"seg-0{(place + 1) % 6 + 1}",
        model_version="20260101T000000Z-0123abcd",
        assigned_at=customer["created_at"],
        since=customer["created_at"],
        cause="customer_data",
    )


def exported(gateway: psutil.Process, url: str, key: str, to: Path, *options: str) -> Export:
    """Download an export with curl; its memory stays out of the account."""
    curl = ["curl", "--silent", "--show-error", "--fail", "--output", str(to), *options]
    before, begun, peak = cpu_seconds(gateway), time.perf_counter(), 0.0
    with subprocess.Popen([*curl, "--header", f"Authorization: Bearer {key}", url]) as client:
        while client.poll() is None:
            family = [gateway, *gateway.children(recursive=True)]
            peak = max(peak, *(process.memory_info().rss / 1e6 for process in family))
            time.sleep(0.05)
    taken = time.perf_counter() - begun
    if client.returncode not in (0, 28):  # 28: the slow reader's time was up
        sys.exit(f"curl ended with {client.returncode}")
    return Export(to.stat().st_size, taken, cpu_seconds(gateway) - before, peak)


def measure_exports(gateway: psutil.Process, base: str, key: str, rows: int, folder: Path) -> None:
    """Print one Markdown table row per kind of file, and one for a reader who takes his time."""
    click.echo("| export | MB | rows/s | gateway CPU µs/row | gateway peak MB |")
    click.echo("|---|---|---|---|---|")
    for kind in KINDS:
        found = exported(gateway, f"{base}{EXPORTS}?format={kind}", key, folder / f"customers.{kind}")
        rate, cpu = rows / found.seconds, found.cpu / rows * 1e6
        click.echo(f"| {kind} | {found.size / 1e6:,.0f} | {rate:,.0f} | {cpu:.1f} | {found.peak:.0f} |")
    slow = exported(gateway, f"{base}{EXPORTS}?format=ndjson", key, folder / "slow", *SLOWLY)
    click.echo(f"| ndjson at 1 MB/s, {slow.seconds:.0f} s | {slow.size / 1e6:,.0f} | | | {slow.peak:.0f} |")


def reimport(env: dict[str, str], folder: Path) -> None:
    """Import each file again and print what became of its rows: all of them have to be unchanged."""
    for kind in KINDS:
        command = [PYTHON, "-m", "gateway", "import", str(folder / f"customers.{kind}"), "--json"]
        receipt: dict[str, Any] = json.loads(subprocess.run(command, env=env, stdout=subprocess.PIPE).stdout)
        counts = {name: receipt[name] for name in ("rows", "created", "updated", "unchanged", "rejected")}
        click.echo(f"{kind} imported again: {counts}")


@click.command()
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--again/--not-again", default=True, help="Import the files again.")
def main(rows: int, again: bool) -> None:
    """Store generated customers, export them as each kind of file, and import the files again."""
    click.echo(f"{rows:,} customers; load average before: {os.getloadavg()[0]:.2f}; cores: {os.cpu_count()}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        folder = Path(name)
        uri = mongod.uri(29117, "bench")
        database = mongod.start(folder / "mongo", 29117)
        stack.callback(database.wait)
        stack.callback(database.terminate)
        store = MongoCustomerStore(connect(Flask("bench"), Settings(mongodb_uri=uri))["customers"])
        customers = generated(rows)
        while block := list(islice(customers, BLOCK)):
            store.insert_many(block)
        env = {**os.environ, "MONGODB_URI": uri, "GATEWAY_PORT": "29118", "DEPLOYMENT": "development"}
        key = subprocess.run(NEW_KEY, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        gateway = psutil.Popen([PYTHON, "-m", "gateway", "serve"], env=env, stdout=(folder / "log").open("w"))
        stack.callback(gateway.wait)
        stack.callback(gateway.terminate)
        time.sleep(5)
        measure_exports(gateway, "http://127.0.0.1:29118", key, rows, folder)
        if again:
            reimport(env, folder)


if __name__ == "__main__":
    main()
