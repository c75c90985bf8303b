"""What the indexes of the customers cost each write: CPU of mongod per insert and per update, with and without them."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import psutil
from pymongo import IndexModel, MongoClient, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database

from gateway.data_access.mongo.customer_queries import PATHS
from gateway.data_access.mongo.customer_schema import customer_schema
from gateway.development import mongod
from gateway.services.customers.query import RANKED
from shared.features import FEATURES, complete
from tests.benchmarks.__main__ import _free_port
from tests.benchmarks.load import LOAD_CORE, cpu_seconds, start, stop

START = datetime(2026, 1, 1)
STORED, AT_ONCE = 10_000, 100
Documents = Collection[dict[str, Any]]


def _customer(number: int, chance: random.Random) -> dict[str, Any]:
    values = {f.name: chance.random() * min(f.maximum, 10_000) for f in FEATURES if f.derive is None}
    segment = {"id": f"seg-0{chance.randint(1, 6)}", "confidence": chance.random(), "rival": "seg-07"}
    at = START + timedelta(seconds=number)
    segment |= {"model_version": "20260101T000000Z-00000000", "assigned_at": at}
    document = {"_id": f"C{chance.getrandbits(40):013}", **complete(values), "segment": segment, "seq": 1}
    return document | {"segment_status": "assigned", "revision": f"{number:016x}", "created_at": at, "updated_at": at}


def _stored(collection: Documents, indexes: Sequence[IndexModel], chance: random.Random) -> list[str]:
    """Fill a collection with some customers, and its indexes with their entries; return their ids."""
    for index in indexes:
        collection.create_indexes([index])
    customers = [_customer(n, chance) for n in range(STORED)]
    collection.insert_many(customers, ordered=False)
    return [customer["_id"] for customer in customers]


def measure(tree: psutil.Process, database: Database[dict[str, Any]], rounds: int) -> dict[str, list[float]]:
    """Return the CPU of mongod per insert and per update with changed values, in ms, by choice of indexes.

    All take turns, some writes at a time, so that whatever else goes on hits all alike.
    """
    chance = random.Random(1)
    names = {choice: f"customers_{number}" for number, choice in enumerate(CHOICES)}
    ids = {choice: _stored(database[names[choice]], indexes, chance) for choice, indexes in CHOICES.items()}
    cost: dict[str, list[float]] = {choice: [0.0, 0.0] for choice in CHOICES}
    for _ in range(rounds):
        for choice in chance.sample([*CHOICES], len(CHOICES)):
            collection = database[names[choice]].with_options(write_concern=WriteConcern("majority", j=True))
            new, changed = ([_customer(n, chance) for n in range(AT_ONCE)] for _ in "iu")
            for document in changed:
                del document["_id"], document["created_at"]
            began = cpu_seconds(tree)
            for document in new:
                collection.insert_one(document)
            between = cpu_seconds(tree)
            for document in changed:
                collection.update_one({"_id": chance.choice(ids[choice])}, {"$set": document})
            cost[choice][0] += between - began
            cost[choice][1] += cpu_seconds(tree) - between
    return {choice: [seconds * 1000 / rounds / AT_ONCE for seconds in both] for choice, both in cost.items()}


def _choices() -> dict[str, Sequence[IndexModel]]:
    schema = customer_schema("customers")
    every = [*schema.indexes, *schema.put_off]
    earlier = [IndexModel([(PATHS[key], 1), ("_id", 1)], name=f"by_{key}") for key in RANKED]
    return {
        "none but `_id`": (),
        "without those of sort keys": schema.indexes,
        "all": every,
        "all, and one of each sort key without the segment": [*every, *earlier],
    }


CHOICES = _choices()


@click.command()
@click.option("--rounds", default=30, show_default=True, help=f"Rounds of {AT_ONCE} writes of each kind.")
def main(rounds: int) -> None:
    """Measure the CPU of mongod per write, by the indexes that the collection of customers has."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="bench-indexes-") as name:
        tree = start(mongod.command(Path(name) / "mongo", port), {}, Path(name) / "mongod.log", LOAD_CORE)
        try:
            mongod.wait_for_primary(port)
            with MongoClient[dict[str, Any]](mongod.uri(port, "indexes")) as client:
                found = measure(tree, client.get_default_database(), rounds)
        finally:
            stop(tree)
    click.echo("| indexes beside `_id` | number | insert, CPU ms | ratio | update, CPU ms | ratio |")
    click.echo("|---|---|---|---|---|---|")
    floor = next(iter(found.values()))
    for choice, costs in found.items():
        cells = " | ".join(f"{cost:.3f} | {cost / least:.2f}" for cost, least in zip(costs, floor, strict=True))
        click.echo(f"| {choice} | {len(CHOICES[choice])} | {cells} |")


if __name__ == "__main__":
    main()
