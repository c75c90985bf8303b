"""Many clients write one customer at the same time, over HTTP and real MongoDB."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from support.customers import body, inputs
from support.problems import assert_problem
from werkzeug.test import TestResponse

from gateway.services.access import concurrency
from shared.features import INPUTS

Call = Callable[[], TestResponse]


def _at_once(calls: list[Call]) -> list[TestResponse]:
    """Make all calls at the same moment, each in a thread of its own."""
    start = Barrier(len(calls))

    def run(call: Call) -> TestResponse:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def _send(gateway: FakeGateway, method: str, path: str, sent: object, **headers: str) -> Call:
    return lambda: gateway.app.test_client().open(path, method=method, json=sent, headers=headers)


def test_of_fifty_creates_of_one_customer_one_wins(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    # Past it a request is refused, and a busy machine must not bring that about here.
    monkeypatch.setattr(concurrency, "QUEUE_SECONDS", 60.0)
    sent = [body(BALANCE=float(n)) for n in range(50)]
    answers = _at_once([_send(gateway, "POST", CUSTOMERS, one) for one in sent])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}
    (winner,) = [answer.json for answer in answers if answer.status_code == 201]
    for answer in answers:
        if answer.status_code == 409:
            assert_problem(answer, 409, "customer_exists")
    (stored,) = gateway.client.get(CUSTOMERS).json["items"]
    assert stored | {"warnings": winner["warnings"]} == winner


def test_patches_of_different_fields_are_all_kept(gateway: FakeGateway) -> None:
    gateway.client.post(CUSTOMERS, json=body())
    changes = {f.name: 7 if f.whole else 0.25 for f in INPUTS}
    answers = _at_once([_send(gateway, "PATCH", f"{CUSTOMERS}/C1", {name: v}) for name, v in changes.items()])
    assert [answer.status_code for answer in answers] == [200] * len(INPUTS)
    assert changes.items() <= gateway.client.get(f"{CUSTOMERS}/C1").json.items()
    assert len({answer.headers["ETag"] for answer in answers}) == len(INPUTS)


def test_of_writers_who_name_one_revision_one_wins(gateway: FakeGateway) -> None:
    etag = gateway.client.post(CUSTOMERS, json=body()).headers["ETag"]
    path = f"{CUSTOMERS}/C1"
    patches = [_send(gateway, "PATCH", path, {"BALANCE": float(n)}, **{"If-Match": etag}) for n in range(8)]
    puts = [_send(gateway, "PUT", path, inputs(BALANCE=float(n)), **{"If-Match": etag}) for n in range(8, 16)]
    answers = _at_once(patches + puts)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 15}
    (winner,) = [answer for answer in answers if answer.status_code == 200]
    assert gateway.client.get(path).headers["ETag"] == winner.headers["ETag"]


def test_of_puts_of_a_new_customer_one_creates_and_the_others_replace(gateway: FakeGateway) -> None:
    path = f"{CUSTOMERS}/C1"
    answers = _at_once([_send(gateway, "PUT", path, inputs(BALANCE=float(n))) for n in range(16)])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 15}
    last = gateway.client.get(path)
    assert last.headers["ETag"] in {answer.headers["ETag"] for answer in answers}


def test_of_deletes_of_one_customer_one_finds_it(gateway: FakeGateway) -> None:
    gateway.client.post(CUSTOMERS, json=body())
    answers = _at_once([_send(gateway, "DELETE", f"{CUSTOMERS}/C1", None) for _ in range(16)])
    assert Counter(answer.status_code for answer in answers) == {204: 1, 404: 15}
