"""Metrics of gateways with several processes, under both servers, and of the worker, while others are away."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from pymongo import MongoClient
from support.gateway_process import SERVERS, Gateway, running_gateway
from support.servers import Mongod, own_database

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


def values(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Return the samples of a text by name and labels; fails where it is no text of Prometheus."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in found.setdefault(sample.name, {}), (sample.name, labels)
            found[sample.name][labels] = sample.value
    return found


def read(gateway: Gateway) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
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
