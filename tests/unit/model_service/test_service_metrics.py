"""The model service's metrics: who may read them, and that they move as they should."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from asgi_client import AsgiClient, assert_problem
from model_customers import Tiny
from prometheus_client.parser import text_string_to_metric_families

from model_service.api.middleware import METRICS, Authentication
from model_service.training_jobs import jobs as jobs_module
from model_service.training_jobs.jobs import TrainingJobs
from shared.contract import PREDICT, PREDICT_BATCH
from shared.model_contract import TrainingOptions

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(client: AsgiClient) -> Callable[..., float]:
    """Return what looks up a sample of what the service shows now; 0 where there is none."""
    answer = client.get(METRICS)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found: Samples = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        found |= {(sample.name, frozenset(sample.labels.items())): sample.value for sample in family.samples}
    return lambda name, **labels: found.get((f"model_service_{name}", frozenset(labels.items())), 0.0)


def test_requests_are_counted_by_route_and_rows_as_they_are_scored(client: AsgiClient, tiny: Tiny) -> None:
    before = read(client)
    client.post(PREDICT, tiny.customer())
    client.post(PREDICT_BATCH, {"customers": [tiny.customer(1), {}, tiny.customer(2)]})
    client.get("/v1/models/of-no-name/gate")
    client.get("/nowhere/C17")
    client.request("BREW", PREDICT, None)
    after = read(client)

    def grown(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    assert grown("rows_scored_total") == 3
    assert grown("http_requests_total", method="POST", route=PREDICT, status="200") == 1
    assert grown("http_requests_total", method="GET", route="/v1/models/{version}/gate", status="404") == 1
    assert grown("http_requests_total", method="GET", route="unknown", status="404") == 1
    assert grown("http_requests_total", method="other", route=PREDICT, status="405") == 1
    assert grown("http_request_duration_seconds_count", method="POST", route=PREDICT_BATCH) == 1


def test_which_model_serves_and_what_alerts_look_at_is_there_from_the_start(client: AsgiClient, tiny: Tiny) -> None:
    text = client.get(METRICS).body.decode()
    for line in (
        "model_service_training_running 0.0",
        'model_service_trainings_total{outcome="failed"}',
        "model_service_signature_refusals_total ",
        'model_service_active_model_info{version="',
    ):
        assert f"\n{line}" in text


def test_trainings_show_while_they_run_and_are_counted_when_they_end(tmp_path: Path) -> None:
    jobs = TrainingJobs(tmp_path / "models")
    assert not jobs.is_running()
    job = jobs.begin(
        jobs.draft(), "Ada", "", TrainingOptions(k_min=3, k_max=3, seed=0, activate=False), "customers.csv", 1
    )
    assert jobs.is_running()
    job.cancel("on request")
    assert not jobs.is_running()
    ended: list[str] = []
    jobs_module._reap(subprocess.Popen(["true"]), jobs, job.folder.id, ended.append)
    assert ended == ["cancelled"]


NETWORKS = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "path", "headers", "opens"),
    [
        ("10.1.2.3", METRICS, [], True),
        ("::ffff:10.1.2.3", METRICS, [], True),
        ("fd00::7", METRICS, [], True),
        ("11.1.2.3", METRICS, [], False),
        ("", METRICS, [], False),
        ("unix:", METRICS, [], False),
        ("10.1.2.3", METRICS, [(b"x-forwarded-for", b"10.1.2.3")], False),
        ("10.1.2.3", METRICS, [(b"forwarded", b"for=10.1.2.3")], False),
        ("10.1.2.3", PREDICT, [], False),
        ("10.1.2.3", f"{METRICS}/", [], False),
    ],
)
def test_networks_open_the_metrics_alone_and_to_nobody_behind_a_proxy(
    peer: str, path: str, headers: list[tuple[bytes, bytes]], opens: bool
) -> None:
    passed: list[Any] = []

    async def inner(*arguments: Any) -> None:
        passed.append(arguments)

    async def send(_message: Any) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "client": (peer, 1)}
    asyncio.run(Authentication(inner, "secret", metrics_networks=NETWORKS)(scope, inner, send))
    assert bool(passed) is opens


def test_others_need_the_secret(client: AsgiClient) -> None:
    assert_problem(client.get(METRICS, authorization=""), 401, "unauthenticated")
