"""What the indexes of the customers cost each write: CPU of mongod per insert and per update, with and without them."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import click
import psutil
from pymongo import IndexModel, MongoClient, WriteConcern
from pymongo.collection import Collection

from gateway.data_access.mongo.customer_queries import PATHS
from gateway.data_access.mongo.customer_schema import customer_schema
from gateway.development import mongod
from gateway.services.customers.query import RANKED
from shared.features import FEATURES, complete
from tests.benchmarks.__main__ import _free_port
from tests.benchmarks.load import LOAD_CORE, cpu_seconds, start, stop

START = datetime(2026, 1, 1)
Documents = Collection[dict[str, Any]]


def _customer(number: int, chance: random.Random) -> dict[str, Any]:
    values = {f.name: chance.random() * min(f.maximum, 10_000) for f in FEATURES if f.derive is None}
    segment = {"id": f"seg-0{chance.randint(1, 6)}", "confidence": chance.random(), "rival": "seg-07"}
    at = START + timedelta(seconds=number)
    segment |= {"model_version": "20260101T000000Z-00000000", "assigned_at": at}
    document = {"_id": f"C{chance.getrandbits(40):013}", **complete(values), "segment": segment, "seq": 1}
    return document | {"segment_status": "assigned", "revision": f"{number:016x}", "created_at": at, "updated_at": at}


def _cpu(tree: psutil.Process, write: Callable[[int], object], times: int) -> float:
    """Return the CPU of mongod per write, in ms."""
    before = cpu_seconds(tree)
    for n in range(times):
        write(n)
    return (cpu_seconds(tree) - before) * 1000 / times


def measure(
    tree: psutil.Process, collection: Documents, indexes: Sequence[IndexModel], times: int
) -> tuple[float, ...]:
    """Return the CPU of an insert and of an update with changed values, on a collection that has customers already."""
    chance = random.Random(1)
    collection.drop()
    for index in indexes:
        collection.create_indexes([index])
    stored = [_customer(n, chance) for n in range(10_000)]
    collection.insert_many(stored, ordered=False)
    durable = collection.with_options(write_concern=WriteConcern("majority", j=True))
    new = [_customer(n, chance) for n in range(times)]
    changed = [_customer(n, chance) for n in range(times)]
    for document in changed:
        del document["_id"], document["created_at"]
    insert = _cpu(tree, lambda n: durable.insert_one(new[n]), times)
    update = _cpu(tree, lambda n: durable.update_one({"_id": stored[n]["_id"]}, {"$set": changed[n]}), times)
    return insert, update


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


@click.command()
@click.option("--times", default=3_000, show_default=True, help="Writes of each kind in each round.")
@click.option("--rounds", default=3, show_default=True, help="Rounds, of which the cheapest counts.")
def main(times: int, rounds: int) -> None:
    """Measure the CPU of mongod per write, by the indexes that the collection of customers has."""
    choices, port = _choices(), _free_port()
    with tempfile.TemporaryDirectory(prefix="bench-indexes-") as name:
        tree = start(mongod.command(Path(name) / "mongo", port), {}, Path(name) / "mongod.log", LOAD_CORE)
        try:
            mongod.wait_for_primary(port)
            options = bson.CodecOptions[dict[str, Any]](dict)
            with MongoClient[dict[str, Any]](mongod.uri(port, "indexes")) as client:
                collection = client.get_default_database().get_collection("customers", codec_options=options)
                found = [
                    {c: measure(tree, collection, some, times) for c, some in choices.items()} for _ in range(rounds)
                ]
        finally:
            stop(tree)
    click.echo(
        "| indexes beside `_id` | number | insert, CPU ms | ratio | update, CPU ms | ratio |\n|---|---|---|---|---|---|"
    )
    floor: list[float] = []
    for choice, some in choices.items():
        costs = [min(each[choice][kind] for each in found) for kind in (0, 1)]
        floor = floor or costs
        cells = " | ".join(f"{cost:.3f} | {cost / least:.2f}" for cost, least in zip(costs, floor, strict=True))
        click.echo(f"| {choice} | {len(some)} | {cells} |")


if __name__ == "__main__":
    main()
