"""A gateway in a process of its own that does everything to a few customers at once, a second at a time.

``python -m support.everything_at_once URI SKEW_SECONDS``: reads an order a line, and answers each with a line (`Done`).
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from fakes.api_keys import ADMIN_KEY, key_of
from fakes.model import FakeModel
from fakes.registry import FakeRegistry
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.app import create_app
from gateway.services import clock
from gateway.services.access.rate_limits import Rate
from gateway.services.principal import Scope
from gateway.settings import Settings
from gateway.stores import connect, mongo_stores
from gateway.wiring import assemble
from shared.features import INPUT_NAMES
from support.customers import body, inputs

THREADS = 4
NO_LIMIT = (Rate(10**8, 60),)


@dataclass
class Order:
    """What may happen to which customers in the next second."""

    seed: int
    seconds: float
    customers: list[str]
    created: list[str]
    erased: list[str]


@dataclass
class Done:
    """How often each thing came to which status, and of whom nobody can say that they were not erased."""

    counts: Counter[str] = field(default_factory=Counter)
    erased: set[str] = field(default_factory=set)


class Doer:
    """Does things to customers over HTTP."""

    def __init__(self, client: FlaskClient, order: Order, seed: int) -> None:
        self._client = client
        self._order = order
        self._dice = random.Random(seed)
        self.done = Done()

    def run(self) -> Done:
        """Go on until the time is up."""
        ends_at = time.monotonic() + self._order.seconds
        while time.monotonic() < ends_at:
            self._do(self._dice.choice(self._order.customers))
        return self.done

    def _do(self, cust_id: str) -> None:
        doings: list[Callable[[str], TestResponse]] = [self._delete, self._restore] * 4
        doings += [self._patch, self._rescore, self._put_known, self._batch_known]
        if cust_id in self._order.created:
            doings += [self._create, self._put, self._batch, self._import]
        if cust_id in self._order.erased:
            doings += [self._erase, self._erase_known]
        do = self._dice.choice(doings)
        status = do(cust_id).status_code
        self.done.counts[f"{do.__name__[1:]} {status}"] += 1
        if do in (self._erase, self._erase_known) and not 400 <= status < 500:
            self.done.erased.add(cust_id)

    def _send(self, method: str, path: str, sent: Any = None, **headers: str) -> TestResponse:
        return self._client.open(f"/api/v1/{path}", method=method, json=sent, headers=headers)

    def _features(self) -> dict[str, Any]:
        return inputs(BALANCE=float(self._dice.randrange(2_000)))

    def _known(self, cust_id: str) -> str:
        return str((self._send("GET", f"customers/{cust_id}").json or {}).get("revision", "none"))

    def _delete(self, cust_id: str) -> TestResponse:
        return self._send("DELETE", f"customers/{cust_id}")

    def _restore(self, cust_id: str) -> TestResponse:
        return self._send("POST", f"customers/{cust_id}/restore")

    def _patch(self, cust_id: str) -> TestResponse:
        return self._send("PATCH", f"customers/{cust_id}", {"BALANCE": float(self._dice.randrange(2_000))})

    def _rescore(self, cust_id: str) -> TestResponse:
        return self._send("POST", f"customers/{cust_id}/segment")

    def _put_known(self, cust_id: str) -> TestResponse:
        known = {"If-Match": f'"{self._known(cust_id)}"'}
        return self._send("PUT", f"customers/{cust_id}", self._features(), **known)

    def _batch_known(self, cust_id: str) -> TestResponse:
        row = {**body(cust_id), **self._features(), "if_revision": self._known(cust_id)}
        return self._send("POST", "customers/batch", {"customers": [row]})

    def _create(self, cust_id: str) -> TestResponse:
        return self._send("POST", "customers", {**body(cust_id), **self._features()})

    def _put(self, cust_id: str) -> TestResponse:
        return self._send("PUT", f"customers/{cust_id}", self._features())

    def _batch(self, _: str) -> TestResponse:
        rows = [{**body(cust_id), **self._features()} for cust_id in self._order.created]
        return self._send("POST", "customers/batch", {"customers": rows})

    def _import(self, _: str) -> TestResponse:
        rows = [[cust_id, *self._features().values()] for cust_id in self._order.created]
        text = "\n".join(",".join(map(str, row)) for row in [["CUST_ID", *INPUT_NAMES], *rows])
        return self._client.post("/api/v1/imports", data=text, content_type="text/csv")

    def _erase(self, cust_id: str) -> TestResponse:
        return self._send("DELETE", f"customers/{cust_id}?erase=true")

    def _erase_known(self, cust_id: str) -> TestResponse:
        return self._send("DELETE", f"customers/{cust_id}?erase=true", **{"If-Match": f'"{self._known(cust_id)}"'})


def application(uri: str) -> Flask:
    """Return a gateway on the database, without limits, that takes the administrator's key of the fakes."""
    settings = Settings(mongodb_uri=uri, rate_limit=NO_LIMIT, rate_limit_bulk=NO_LIMIT, log_level="ERROR")
    stores = mongo_stores(connect(Flask("stores"), settings), settings)
    if stores.keys.get(key_of(ADMIN_KEY, []).id) is None:
        stores.keys.insert(key_of(ADMIN_KEY, [Scope.ADMIN]))
    return create_app(settings, assemble(stores, FakeModel(), FakeRegistry(), settings))


def carry_out(app: Flask, order: Order) -> Done:
    """Let some threads do what the order allows; return what came of it."""
    doers = [Doer(app.test_client(), order, order.seed * THREADS + n) for n in range(THREADS)]
    for doer in doers:
        doer._client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {ADMIN_KEY}"
    with ThreadPoolExecutor(THREADS) as threads:
        parts = list(threads.map(Doer.run, doers))
    return Done(sum((part.counts for part in parts), Counter()), set().union(*(part.erased for part in parts)))


def skew_the_clock(seconds: float) -> None:
    """Let this process's clock be so far ahead."""

    class Skewed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # as datetime has it
            return datetime.now(tz) + timedelta(seconds=seconds)

    clock.datetime = Skewed  # type: ignore[misc]


def main(arguments: Sequence[str]) -> None:
    """Serve orders until there are no more."""
    uri, skew = arguments
    skew_the_clock(float(skew))
    app = application(uri)
    for line in sys.stdin:
        done = carry_out(app, Order(**orjson.loads(line)))
        sys.stdout.write(orjson.dumps({"counts": done.counts, "erased": sorted(done.erased)}).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
