"""What each request would cost if the service did nothing of its own: framework echoes and bare driver calls."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from typing import Any

import orjson
from flask import Flask, Response, request
from pymongo import MongoClient, UpdateOne, WriteConcern
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route
from urllib3 import HTTPConnectionPool

from gateway.services.clock import now


def flask_echo() -> Flask:
    """Flask that returns the JSON it gets; a GET answers a constant."""
    app = Flask("echo", static_folder=None)

    def echo() -> Response:
        body = orjson.dumps(orjson.loads(request.get_data(cache=False)) if request.method == "POST" else {"ok": True})
        return Response(body, mimetype="application/json")

    app.add_url_rule("/echo", view_func=echo, methods=["GET", "POST"])
    return app


def starlette_echo() -> Starlette:
    """Starlette that returns the JSON it gets."""

    async def echo(asked: Request) -> StarletteResponse:
        return StarletteResponse(orjson.dumps(orjson.loads(await asked.body())), media_type="application/json")

    return Starlette(routes=[Route("/echo", echo, methods=["POST"])])


def cpu_per_call(call: Callable[[int], Any], times: int) -> float:
    """Return the client's CPU per call in milliseconds, after a tenth as many calls to warm up."""
    for n in range(times // 10):
        call(n)
    begun = time.process_time()
    for n in range(times // 10, times // 10 + times):
        call(n)
    return (time.process_time() - begun) * 1000 / times


def driver_floors(uri: str, ids: list[str]) -> dict[str, float]:
    """CPU in ms of the bare driver calls behind get, list of 50 and create, on the database at `uri`."""
    with MongoClient[dict[str, Any]](uri) as client:
        customers = client.get_default_database()["customers"]
        spare = client.get_default_database()["floor"]
        spare.drop()
        document = customers.find_one({"_id": ids[0]})
        assert document is not None

        def page(n: int) -> list[dict[str, Any]]:
            after = {"_id": {"$gt": ids[n * 50 % (len(ids) - 50)]}}
            return list(customers.find(after, sort=[("_id", 1)], limit=50, batch_size=50))

        floors = {
            "get": cpu_per_call(lambda n: customers.find_one({"_id": ids[n % len(ids)]}), 3000),
            "list": cpu_per_call(page, 1000),
            "create": cpu_per_call(lambda n: spare.insert_one({**document, "_id": f"F{n}"}), 1000),
        }
        spare.drop()
    return floors


def rescored_by_hand(uri: str, version: str, moved: float, rows: int = 1_000) -> float:
    """Seconds that the bare driver needs to give all customers a segment by another `version`, a batch after the other.

    Only the writes are timed: `rows` customers each, with the conditions, the members and the concern of the worker's.
    The share `moved` of them goes to its rival.
    """
    chance, seconds = random.Random(1), 0.0
    with MongoClient[dict[str, Any]](uri) as client:
        concern = WriteConcern("majority", j=True)
        customers = client.get_default_database().get_collection("customers", write_concern=concern)
        after: dict[str, Any] = {}
        while some := list(customers.find(after, {"segment": 1, "revision": 1}, sort=[("_id", 1)], limit=rows)):
            requests = [UpdateOne(*_rescored(each, version, chance.random() < moved)) for each in some]
            begun = time.perf_counter()
            written = customers.bulk_write(requests, ordered=False).matched_count
            seconds += time.perf_counter() - begun
            assert written == len(some)
            after = {"_id": {"$gt": some[-1]["_id"]}}
    return seconds


def _rescored(customer: dict[str, Any], version: str, moves: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    segment = customer["segment"]
    if moves:
        segment["id"], segment["rival"] = segment["rival"], segment["id"]
    segment |= {"confidence": 1 - segment["confidence"] / 2, "model_version": version, "assigned_at": now()}
    members = {"segment": segment, "segment_status": "assigned", "revision": secrets.token_hex(8)}
    return {"_id": customer["_id"], "revision": customer["revision"]}, {"$set": members}


def http_floor(port: int, body: bytes) -> float:
    """CPU in ms of one round trip through urllib3's pool to an echo server."""
    pool = HTTPConnectionPool("127.0.0.1", port)
    headers = {"Content-Type": "application/json"}
    return cpu_per_call(lambda _: orjson.loads(pool.urlopen("POST", "/echo", body=body, headers=headers).data), 2000)
