"""A POST with an Idempotency-Key has its effect once: sent by many at once, and sent again after a crash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import requests
from pymongo import MongoClient
from pymongo.database import Database
from support.customers import body

from tests.e2e.conftest import System, gunicorn, wait_until

PLACES = {
    "before the effect": "gateway.data_access.mongo.customers:MongoCustomerStore.insert",
    "before the answer is kept": "gateway.data_access.mongo.access.idempotency:MongoIdempotencyStore.finish",
}


@pytest.fixture
def database(system: System) -> Iterator[Database[dict[str, Any]]]:
    """The database of the system."""
    with MongoClient[dict[str, Any]](system.env["MONGODB_URI"]) as client:
        yield client.get_default_database()


def _create(system: System, customer: dict[str, Any], key: str = "k") -> requests.Response:
    """Send a customer on a connection of its own, with the system's API key."""
    headers = {"Authorization": str(system.http.headers["Authorization"]), "Idempotency-Key": key}
    return requests.post(f"{system.base}/api/v1/customers", json=customer, headers=headers, timeout=20)


def test_of_twenty_equal_posts_one_has_the_effect(system: System, database: Database[dict[str, Any]]) -> None:
    system.start_gateway()  # two processes of four threads
    start = Barrier(20)

    def send(_: int) -> requests.Response:
        start.wait()
        return _create(system, body("A"))

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(send, range(20)))
    firsts = [a for a in answers if a.status_code == 201 and "Idempotency-Replayed" not in a.headers]
    assert len(firsts) == 1
    assert Counter(a.status_code for a in answers).keys() <= {201, 409}
    assert {a.text for a in answers if a.status_code == 201} == {firsts[0].text}
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"idempotency_in_progress"}
    assert _create(system, body("A")).text == firsts[0].text
    (stored,) = database["customers"].find()
    assert [entry["type"] for entry in stored["outbox"]] == ["customer.created"]
    assert database["idempotency"].count_documents({"status": "done"}) == 1


@pytest.mark.parametrize("place", PLACES)
def test_after_kill_9_the_repetition_succeeds(
    system: System, database: Database[dict[str, Any]], tmp_path: Path, place: str
) -> None:
    mark = tmp_path / "die"
    system.env |= {
        "DIE_AT": PLACES[place],
        "DIE_ONCE": str(mark),
        "MONGODB_TIMEOUT": "1",
        "BULK_DEADLINE": "1",
        "QUERY_TIMEOUT": "0.9",
    }
    command = [part.replace("gateway.app:", "tests.e2e.dying_gateway:") for part in gunicorn(system.gateway_port)]
    system.start_gateway(command)
    mark.touch()
    with pytest.raises(requests.ConnectionError):
        _create(system, body("A"))
    assert not mark.exists()
    assert database["customers"].count_documents({}) == (place != "before the effect")

    answers: list[requests.Response] = []

    def sent_again() -> bool:
        answers.append(_create(system, body("A")))
        return answers[-1].status_code != 409

    wait_until(sent_again, "the key taken over when the lease of the dead process ends")
    assert {answer.json()["code"] for answer in answers[:-1]} <= {"idempotency_in_progress"}
    assert answers[-1].status_code == 201, answers[-1].text
    (stored,) = database["customers"].find()
    assert answers[-1].json()["revision"] == stored["revision"]
    assert _create(system, body("A")).headers["Idempotency-Replayed"] == "true"
    assert _create(system, body("A"), "another").status_code == 409
