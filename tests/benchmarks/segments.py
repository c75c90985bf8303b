"""``make bench-segments``: what sizes of segments and moves between them cost with a million customers."""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from fakes.api_keys import ADMIN_KEY
from fakes.gateway import FakeGateway
from flask import Flask
from flask.testing import FlaskClient
from support.customers import stored
from support.servers import Mongod, free_port

from gateway.app import create_app
from gateway.services.clock import now
from gateway.settings import Settings
from gateway.stores import connect, mongo_stores
from gateway.wiring import Services, assemble

SEGMENTS = [f"seg-0{number}" for number in range(1, 7)]
VERSION = "20240101T000000Z-00000001"
AT_ONCE = 10_000
READS = 200
Document = dict[str, Any]


@contextmanager
def _mongod() -> Iterator[Mongod]:
    with tempfile.TemporaryDirectory(prefix="bench-segments-") as folder:
        server = Mongod(Path(folder), free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _customers(number: int) -> Iterator[list[Document]]:
    plain = {name: value for name, value in stored("X").items() if name not in ("CUST_ID", "outbox")}
    some, at = random.Random(1), now() - timedelta(hours=1)
    for first in range(0, number, AT_ONCE):
        yield [
            {
                "_id": f"C{first + place:08}",
                **plain,
                "BALANCE": some.uniform(0, 1e4),
                "CREDIT_LIMIT": some.uniform(1, 1e4),
                "segment": {
                    "id": some.choice(SEGMENTS),
                    "confidence": some.random(),
                    "rival": None,
                    "model_version": VERSION,
                    "assigned_at": at,
                    "since": at,
                    "cause": "customer_data",
                },
                "segment_status": "assigned",
                "created_at": at,
                "updated_at": at,
            }
            for place in range(AT_ONCE)
        ]


def _entries(moves: int, customers: int) -> Iterator[list[Document]]:
    """Yield what the log has after an activation that moved so many customers."""
    some, since, at = random.Random(2), now() - timedelta(hours=1), now() - timedelta(minutes=1)
    moved = some.sample(range(customers), moves)
    for first in range(0, moves, AT_ONCE):
        yield [
            {
                "_id": first + place + 1,
                "at": at,
                "type": "customer.segment_changed",
                "cause": "model_activated",
                "subject": {"type": "customer", "id": f"C{cust_id:08}"},
                "segment": {"from": some.choice(SEGMENTS), "from_since": since, "to": some.choice(SEGMENTS)},
            }
            for place, cust_id in enumerate(moved[first : first + AT_ONCE])
        ]


def _timed(what: str, work: Callable[[], object], times: int = 1) -> None:
    work()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - began))
    slow = statistics.quantiles(took, n=100)[-1] if times > 1 else took[0]
    click.echo(f"| {what} | {statistics.median(took):,.1f} | {slow:,.1f} |")


@click.command()
@click.option("--customers", default=1_000_000, show_default=True)
@click.option("--moves", default=80_000, show_default=True, help="Changes of segments in the log.")
def main(customers: int, moves: int) -> None:
    """Count a base, read what was counted, and look for who moved."""
    click.echo(f"{customers} customers, {moves} moves; load average before: {os.getloadavg()[0]:.2f}")
    with _mongod() as server:
        settings = Settings(mongodb_uri=server.uri("segments"))
        database = connect(Flask("bench"), settings)
        stores = mongo_stores(database, settings)
        fakes = FakeGateway()
        services = assemble(stores, fakes.model, fakes.registry, settings)
        stores.changes.memory()
        database["counters"].update_one({"_id": "changes"}, {"$set": {"began_at": now() - timedelta(hours=2)}})
        for documents in _customers(customers):
            database["customers"].insert_many(documents, ordered=False)
        for documents in _entries(moves, customers):
            database["changes"].insert_many(documents, ordered=False)
        stores.schema.bring_up_to_date()
        click.echo("| work | ms, median | ms, p99 |\n|---|---|---|")
        _report(services, assemble(fakes.stores, fakes.model, fakes.registry, settings), settings)
        database.client.close()


def _report(services: Services, fakes: Services, settings: Settings) -> None:
    counting = services.segments.counting
    _timed("look for changes", counting._counter.mark, READS)
    _timed("count everybody (one pass)", counting._counter.count, 3)
    _timed("compare with the list (by indexes)", counting._list_counts, 3)
    counting.run_once()
    services.segments.upkeep.run_once()
    client = create_app(settings, _with_keys(services, fakes)).test_client()
    _timed("GET /segments", lambda: _get(client, "/segments"), READS)
    _timed("GET /segments/seg-01", lambda: _get(client, "/segments/seg-01"), READS)
    _timed("GET /segments/sizes", lambda: _get(client, "/segments/sizes"), READS)
    since = f"{(now() - timedelta(minutes=30)).isoformat(timespec='seconds')}Z"
    _timed("who moved since half an hour", lambda: _get(client, f"/segments/transitions?since={since}"), 3)


def _with_keys(services: Services, fakes: Services) -> Services:
    return replace(
        services,
        access=replace(services.access, authentication=fakes.access.authentication, limits=fakes.access.limits),
    )


def _get(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {ADMIN_KEY}"})
    assert answer.status_code == 200, answer.text


if __name__ == "__main__":
    main()
