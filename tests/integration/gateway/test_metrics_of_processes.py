"""Metrics of gateways with several processes, under both servers, and of the worker, while others are away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from contracts.customers import assignment
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from pymongo import MongoClient
from support.customers import becoming, stored
from support.gateway_process import SERVERS, Gateway, running_gateway
from support.servers import STOP_SECONDS, Mongod, free_port, own_database, running_mongod

from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.services.errors import CustomerExists

CUSTOMERS = "/api/v1/customers"


@pytest.fixture(scope="module", params=SERVERS)
def gateway(
    request: pytest.FixtureRequest,
    mongod: Mongod,
    mongo_client: MongoClient[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    log = tmp_path_factory.mktemp("log") / "gateway.log"
    settings = {"GATEWAY_WORKERS": 2, "METRICS_NETWORKS": "127.0.0.0/8"}
    with own_database(mongo_client) as name, running_gateway(mongod.uri(name), request.param, log, **settings) as it:
        yield it


Values = dict[str, dict[tuple[tuple[str, str], ...], float]]


def values(text: str) -> Values:
    """Return the samples of a text by name and labels; fails where it is no text of Prometheus."""
    found: Values = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in found.setdefault(sample.name, {}), (sample.name, labels)
            found[sample.name][labels] = sample.value
    return found


def read(gateway: Gateway) -> Values:
    answer = requests.get(gateway.base + "/metrics", timeout=20)
    assert answer.status_code == 200
    return values(answer.text)


def wait_until(true: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 30
    while not true():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def unknown(gateway: Gateway) -> float:
    counted = read(gateway)["gateway_http_requests_total"]
    return counted.get((("method", "GET"), ("route", "unknown"), ("status", "404")), 0)


def test_counters_add_up_over_processes_and_outlive_them(gateway: Gateway) -> None:
    before = unknown(gateway)
    for number in range(40):  # over connections of their own, so that both processes get some
        assert requests.get(f"{gateway.base}/nowhere/{number}", timeout=20).status_code == 404
    assert unknown(gateway) == before + 40
    processes = {dict(labels)["pid"] for labels in read(gateway)["process_resident_memory_bytes"]}
    killed = max(processes)
    os.kill(int(killed), signal.SIGKILL)

    def replaced() -> bool:
        try:
            now = {dict(labels)["pid"] for labels in read(gateway)["process_resident_memory_bytes"]}
        except requests.ConnectionError:  # it was the one that had taken this one
            return False
        return killed not in now and len(now) >= len(processes)

    wait_until(replaced)
    assert unknown(gateway) == before + 40


def test_paths_are_named_by_their_routes(gateway: Gateway) -> None:
    gateway.ask("GET", f"{CUSTOMERS}/C17")
    gateway.ask("BREW", "/health/live")
    labels = [dict(each) for each in read(gateway)["gateway_http_requests_total"]]
    assert {"method": "GET", "route": CUSTOMERS + "/{CUST_ID}", "status": "404"} in labels
    assert not any("C17" in each["route"] or each["method"] == "BREW" for each in labels)


def test_who_comes_by_way_of_a_proxy_needs_a_key(gateway: Gateway) -> None:
    forwarded = {"X-Forwarded-For": "127.0.0.1"}
    refused = requests.get(gateway.base + "/metrics", headers=forwarded, timeout=20)
    assert refused.status_code == 401
    assert refused.json()["code"] == "unauthenticated"
    assert gateway.ask("GET", "/metrics", headers=forwarded).status_code == 200


def test_uses_of_mongodb_are_timed_and_customers_without_a_segment_counted(store: MongoCustomerStore) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"gateway_{name}", labels) or 0

    def timed(operation: str) -> float:
        return value("mongodb_operation_duration_seconds_count", operation=f"customers.{operation}")

    operations = ("insert", "insert_many", "update", "get", "block")
    before, pending = [timed(each) for each in operations], value("assignments_pending_total")
    store.insert(stored("A"))
    store.insert(stored("B", assignment("seg-01")))
    with pytest.raises(CustomerExists):
        store.insert(stored("A"))
    assert store.insert_many([stored("A"), stored("C"), stored("D", assignment("seg-01"))]) == {"A"}
    known = store.get("C")
    assert known is not None
    assert store.update(becoming(known, {"revision": "1", "segment_status": "pending"}))
    assert not store.update(becoming(known, {"revision": "2", "segment_status": "pending"}))  # somebody was faster
    assert len(list(store.stream(["BALANCE"], 2))) == 2
    assert value("assignments_pending_total") - pending == 3
    assert [timed(each) - past for each, past in zip(operations, before, strict=True)] == [3, 1, 2, 1, 3]


@pytest.fixture
def own_mongod() -> Iterator[Mongod]:
    """A mongod that a test may kill."""
    with running_mongod() as server:
        yield server


@pytest.fixture
def worker_metrics(own_mongod: Mongod, tmp_path: Path) -> Iterator[Callable[[], Values]]:
    """What a worker shows that has never heard of a model service."""
    port = free_port()
    settings = {
        "MONGODB_URI": own_mongod.uri("test"),
        "MONGODB_TIMEOUT": "0.5",
        "MODEL_SERVICE_URL": f"http://127.0.0.1:{free_port()}",
        "METRICS_PORT": str(port),
        "DEPLOYMENT": "development",
    }
    with (tmp_path / "worker.log").open("w") as log:
        command = [sys.executable, "-m", "gateway", "worker"]
        process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=log)

    def shown() -> Values:
        assert process.poll() is None, (tmp_path / "worker.log").read_text()
        try:
            return values(requests.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text)
        except requests.ConnectionError:
            return {}

    try:
        yield shown
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def test_the_worker_shows_what_it_knows_while_the_others_are_away(
    own_mongod: Mongod, worker_metrics: Callable[[], Values]
) -> None:
    with MongoClient[dict[str, Any]](own_mongod.uri("test")) as client:
        MongoCustomerStore(client["test"]["customers"]).insert(stored("C1"))  # pending, as nobody has scored it
    wait_until(lambda: worker_metrics().get("segmentation_customers_pending", {}).get(()) == 1)
    own_mongod.kill()
    wait_until(lambda: worker_metrics()["gateway_mongodb_breaker_open"][()] == 1)
    known = worker_metrics()
    assert known["segmentation_customers_pending"][()] == 1
    assert known["segmentation_relay_waiting"][()] == 0
    assert known["segmentation_rescoring_standstill_seconds"][()] > 0
    assert sum(known["segmentation_snapshot_state"].values()) == 1
    assert known["gateway_model_service_errors_total"][(("kind", "unavailable"),)] > 0
    runs = known["worker_duty_runs_total"]
    assert runs[("duty", "relay"), ("outcome", "done")] > 0
    assert runs[("duty", "assignments"), ("outcome", "failed")] > 0
    assert known["worker_heartbeat_timestamp_seconds"][()] > time.time() - 60
