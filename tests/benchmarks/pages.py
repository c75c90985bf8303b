"""``make bench-pages``: how long pages of a long list take, by kind of query, at random depths, through the gateway."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import bson
import click
import pandas as pd
import psutil
import requests
from bson.raw_bson import RawBSONDocument
from flask import Flask
from pymongo.collection import Collection

from gateway.data_access.mongo.customer_schema import customer_schema
from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.data_access.mongo.schema import MongoSchema
from gateway.development import mongod
from gateway.schemas.customer_queries import LIST, list_request
from gateway.schemas.paging import Cursors
from gateway.schemas.queries import QueryReader
from gateway.services.customers.query import (
    FIELDS,
    INDEXED,
    RANKED,
    CustomerQuery,
    FieldKind,
    position_of,
    value_of,
)
from gateway.settings import Settings
from gateway.stores import connect
from model_service.scoring.predictor import Predictor
from model_service.store.registry import ModelStore
from shared.features import CUST_ID, DISTANCE_NAMES, FEATURES, INPUTS, complete
from tests.benchmarks.__main__ import NEW_KEY, PYTHON, _free_port, _wait
from tests.benchmarks.load import LOAD_CORE, SERVER_CORE, cpu_seconds, start, stop
from tests.conftest import ROOT, SAMPLE_CSV

LIMIT = 50
AMOUNTS = RANKED[:-1]
"""Sort keys that are no times."""
WARM_UP = 10
Asked = dict[str, str]

_LIST = QueryReader(LIST)


class System(NamedTuple):
    """The running gateway, a client of it, and what it stands on."""

    base: str
    http: requests.Session
    store: MongoCustomerStore
    customers: Collection[dict[str, Any]]
    trees: Mapping[str, psutil.Process]


@contextmanager
def running(folder: Path, cache: float) -> Iterator[System]:
    """Run mongod and the gateway, a core for each."""
    mongo_port, port = _free_port(), _free_port()
    uri = mongod.uri(mongo_port, "pages")
    env = {"MONGODB_URI": uri, "GATEWAY_PORT": str(port), "LOG_LEVEL": "WARNING"}
    env |= {"DEPLOYMENT": "development", "RATE_LIMIT": "1000000000 per minute"}
    line = mongod.command(folder / "mongo", mongo_port)
    line[line.index("--wiredTigerCacheSizeGB") + 1] = f"{cache:g}"
    with ExitStack() as stack:
        trees = {"mongod": start(line, env, folder / "mongod.log", LOAD_CORE)}
        stack.callback(stop, trees["mongod"])
        mongod.wait_for_primary(mongo_port)
        trees["gateway"] = start([PYTHON, "-m", "gateway", "serve"], env, folder / "gateway.log", SERVER_CORE)
        stack.callback(stop, trees["gateway"])
        _wait(port, "/health/live")
        key = subprocess.run(NEW_KEY, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True, check=True).stdout
        http = stack.enter_context(requests.Session())
        http.headers["Authorization"] = f"Bearer {key.strip()}"
        collection = connect(Flask("pages"), Settings(mongodb_uri=uri))["customers"]
        stack.callback(collection.database.client.close)
        base = f"http://127.0.0.1:{port}/api/v1/customers"
        yield System(base, http, MongoCustomerStore(collection), collection, trees)


def load(system: System, csv: Path, model: Predictor) -> float:
    """Store the file's customers with their segments, as a first load does; return how long the indexes took."""
    schema = MongoSchema(system.customers.database, [customer_schema("customers")])
    schema.bring_up_to_date(put_off=True)
    for rows in pd.read_csv(csv, chunksize=10_000):
        system.customers.insert_many(_documents(rows, model), ordered=False)
    began = time.monotonic()
    schema.bring_up_to_date()
    return time.monotonic() - began


def _documents(rows: pd.DataFrame, model: Predictor) -> list[RawBSONDocument]:
    scores = model.score_columns(rows[list(DISTANCE_NAMES)].to_numpy(float))
    columns = {f.name: rows[f.name].tolist() for f in INPUTS}
    documents = []
    for place, (cust_id, n) in enumerate(zip(rows[CUST_ID], rows.index, strict=True)):
        features = complete({name: None if c[place] != c[place] else c[place] for name, c in columns.items()})
        at = datetime(2026, 1, 1) + timedelta(milliseconds=n // 30)
        segment = {
            "id": scores["segments"][scores["cluster"][place]]["id"],
            "confidence": scores["confidence"][place],
            "rival": scores["segments"][scores["rival"][place]]["id"],
            "model_version": scores["model_version"],
            "assigned_at": at,
            "since": at,
            "cause": "import",
        }
        waits = n % 50 == 7
        changed = at + timedelta(seconds=n * 7919 % 8_640_000) if n % 5 == 0 else at
        document = {"_id": cust_id, **features, "segment": None if waits else segment}
        document |= {"segment_status": "pending" if waits else "assigned", "revision": f"{n:016x}", "seq": 1}
        documents.append(RawBSONDocument(bson.encode(document | {"created_at": at, "updated_at": changed})))
    return documents


class Questions:
    """Random queries of each kind, about values that some of the customers have."""

    def __init__(self, customers: list[dict[str, Any]], chance: random.Random) -> None:
        self._customers = customers
        self._chance = chance
        self._cursors = Cursors(Settings().secret_key)
        segments = sorted({value_of(c, "segment") for c in customers} - {None})
        self._segment = lambda: {"segment": chance.choice(segments)}
        keys = list(RANKED)
        self._rare = [f.name for f in FEATURES if f.name not in INDEXED]
        self.kinds: Mapping[str, Callable[[], Asked]] = {
            "all, by CUST_ID": dict,
            "all, by one key": lambda: self._sort(keys),
            "all, by a key and CUST_ID the other way": lambda: self._both_ways(keys),
            "all, by two keys": lambda: self._sort(keys, 2),
            "all, by segment and a key": lambda: self._sort_by_segment(keys),
            "a segment, by CUST_ID": self._segment,
            "a segment, by one key": lambda: self._segment() | self._sort(keys),
            "borderline ones of a segment, by confidence": lambda: (
                self._segment() | {"borderline": "true", "sort": "confidence"}
            ),
            "a range of a key, by that key": lambda: self._range_by_itself(AMOUNTS),
            "a range of a key, by CUST_ID": lambda: self._range(AMOUNTS),
            "changed since, by updated_at": lambda: self._range(("updated_at",), "gte") | {"sort": "updated_at"},
            "a prefix of CUST_ID, by CUST_ID": lambda: {"CUST_ID[prefix]": self._customer()[CUST_ID][:4]},
            "pending ones, by one key": lambda: {"segment_status": "pending"} | self._sort(keys),
            "a range of a key, by another": lambda: self._range(AMOUNTS) | self._sort(keys),
            "two ranges and a segment, by one key": lambda: (
                self._range(("BALANCE", "PAYMENTS"))
                | self._range(("PURCHASES", "confidence"))
                | self._segment()
                | self._sort(keys)
            ),
            "a range without an index, within a prefix of CUST_ID": lambda: (
                self._range(self._rare) | {"CUST_ID[prefix]": self._customer()[CUST_ID][:4]} | self._sort(keys)
            ),
            "a range without an index, refused": lambda: self._range(self._rare) | self._sort(keys),
        }

    def ask(self, kind: str) -> Asked:
        """Return a query of the kind, for its first page or one behind a random customer."""
        asked = self.kinds[kind]() | {"limit": str(LIMIT)}
        if self._chance.random() < 0.2:
            return asked
        request = list_request(_LIST.read(asked.items()), self._cursors)
        place = position_of(self._fitting(request.query), request.query.order)
        return asked | {"cursor": self._cursors.write(request.list_id, place)}

    def _customer(self) -> dict[str, Any]:
        return self._chance.choice(self._customers)

    def _fitting(self, query: CustomerQuery) -> dict[str, Any]:
        """Return a random customer that fits at least the filters for equality, as one on a page would."""
        equal = [
            c for c in query.filters if c.op == "eq" and FIELDS[c.field].kind in (FieldKind.NAME, FieldKind.STATUS)
        ]
        fitting = [c for c in self._customers if all(value_of(c, each.field) == each.value for each in equal)]
        return self._chance.choice(fitting)

    def _sort(self, keys: tuple[str, ...] | list[str], how_many: int = 1) -> Asked:
        chosen = self._chance.sample(list(keys), how_many)
        return {"sort": ",".join(self._chance.choice(("", "-")) + key for key in chosen)}

    def _sort_by_segment(self, keys: list[str]) -> Asked:
        return {"sort": f"segment,{self._sort(keys)['sort']}"}

    def _both_ways(self, keys: list[str]) -> Asked:
        key = self._chance.choice(keys)
        return {"sort": self._chance.choice((f"-{key},CUST_ID", f"{key},-CUST_ID"))}

    def _range(self, fields: tuple[str, ...] | list[str], op: str = "") -> Asked:
        field = self._chance.choice(fields)
        values = [value for value in (value_of(c, field) for c in self._customers) if value is not None]
        value = self._chance.choice(values)
        text = f"{value.isoformat()}Z" if isinstance(value, datetime) else repr(value)
        return {f"{field}[{op or self._chance.choice(('gte', 'lt'))}]": text}

    def _range_by_itself(self, fields: tuple[str, ...]) -> Asked:
        asked = self._range(fields)
        (name,) = asked
        return asked | {"sort": self._chance.choice(("", "-")) + name.split("[")[0]}


def measure(system: System, questions: Questions, kind: str, times: int) -> str:
    """Return a row of the report."""
    taken, stopped, before = [], 0, {}
    for n in range(-WARM_UP, times):
        if n == 0:
            before = {name: cpu_seconds(tree) for name, tree in system.trees.items()}
        asked = questions.ask(kind)
        began = time.perf_counter()
        answer = system.http.get(system.base, params=asked, timeout=60)
        if n >= 0:
            taken.append((time.perf_counter() - began) * 1000)
            stopped += answer.status_code in (422, 503)
        if answer.status_code not in (200, 422, 503):
            sys.exit(f"{asked}: {answer.status_code} {answer.text}")
    cpu = {name: (cpu_seconds(tree) - before[name]) * 1000 / times for name, tree in system.trees.items()}
    p50, p90, p99 = (statistics.quantiles(taken, n=100, method="inclusive")[n - 1] for n in (50, 90, 99))
    times_ = f"{p50:.1f} | {p90:.1f} | {p99:.1f} | {max(taken):.1f}"
    return f"| {kind} | {times_} | {cpu['mongod']:.1f} | {cpu['gateway']:.2f} | {stopped or ''} |"


def totals(system: System) -> Iterator[str]:
    """Yield how long counting takes."""
    for query in ("count=exact", "count=estimated", "segment=seg-01&count=exact", "segment=seg-01&count=estimated"):
        took = []
        for _ in range(5):
            began = time.perf_counter()
            system.http.get(f"{system.base}?limit=1&{query}", timeout=60).raise_for_status()
            took.append((time.perf_counter() - began) * 1000)
        yield f"| {query} | {statistics.median(took):.0f} |"


@click.command()
@click.option("--rows", default=1_000_000, show_default=True, help="How many customers to make.")
@click.option("--csv", type=click.Path(exists=True, path_type=Path), help="Take these customers instead.")
@click.option("--times", default=300, show_default=True, help="Pages of each kind.")
@click.option("--cache", default=1.0, show_default=True, help="GB of cache that mongod has.")
@click.option("--only", default="", help="Measure only kinds whose name contains this.")
def main(rows: int, csv: Path | None, times: int, cache: float, only: str) -> None:
    """Measure pages of 50 customers by kind of query: one client, milliseconds as it sees them."""
    with tempfile.TemporaryDirectory(prefix="bench-pages-") as name:
        folder = Path(name)
        if csv is None:
            csv = folder / "customers.csv"
            options = ["--rows", str(rows), "--seed", "2", "--out", str(csv)]
            subprocess.run([PYTHON, str(ROOT / "data" / "generate.py"), *options], check=True)
        train = [PYTHON, "-m", "model_service", "train", str(SAMPLE_CSV), "--k", "6", "--store", str(folder / "models")]
        subprocess.run(train, check=True, stdout=subprocess.DEVNULL)
        models = ModelStore(folder / "models")
        with running(folder, cache) as system:
            built = load(system, csv, Predictor(models.load(models.versions()[0])))
            some = list(_some(system.customers))
            click.echo(f"{system.store.count((), True).total:,} customers, cache {cache:g} GB; indexes: {built:.0f} s")
            click.echo("| pages | p50 ms | p90 | p99 | max | mongod CPU ms | gateway CPU ms | refused, stopped |")
            click.echo("|---|---|---|---|---|---|---|---|")
            questions = Questions(some, random.Random(1))
            for kind in questions.kinds:
                if only in kind:
                    click.echo(measure(system, questions, kind, times))
            click.echo("\n| count | median ms |\n|---|---|\n" + "\n".join(totals(system)))


def _some(customers: Collection[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield some thousand random customers."""
    for document in customers.aggregate([{"$sample": {"size": 5_000}}]):
        yield {CUST_ID: document.pop("_id"), **document}


if __name__ == "__main__":
    main()
