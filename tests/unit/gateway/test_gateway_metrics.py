"""The gateway's metrics: who may read them, and that each moves as it should."""

from __future__ import annotations

import shutil
import subprocess
from ipaddress import ip_network
from typing import Any

import pytest
from fakes.api_keys import key_of
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.model import DOWN, MALFORMED, SLOW
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from pymongo.errors import ExecutionTimeout, OperationFailure, PyMongoError
from support.customers import body
from support.problems import assert_problem

from gateway import metrics
from gateway.data_access.model_service.client import Reply
from gateway.data_access.mongo.collection import store_errors
from gateway.services.access.concurrency import concurrency_limits
from gateway.services.access.rate_limits import Rate
from gateway.services.errors import AnalysisBusy, StoreError, StoreUnavailable
from gateway.services.principal import Scope
from gateway.settings import Settings
from shared.metrics import text

METRICS = "/metrics"
INSIDE = Settings(metrics_networks=(ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8")))


class Growth:
    """How much metrics have grown since this was made."""

    def __init__(self) -> None:
        self._before = self._all()

    def of(self, name: str, **labels: str) -> float:
        key = name, frozenset(labels.items())
        return self._all().get(key, 0.0) - self._before.get(key, 0.0)

    @staticmethod
    def _all() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in REGISTRY.collect()
            for sample in family.samples
        }


class TestWhoReads:
    @pytest.mark.parametrize(
        ("peer", "headers", "status"),
        [
            ("127.0.0.1", {}, 200),
            ("::ffff:10.1.2.3", {}, 200),
            ("192.0.2.1", {}, 401),
            ("nonsense", {}, 401),
            ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 401),
            ("127.0.0.1", {"X-Forwarded-For": ""}, 401),
            ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, 401),
        ],
    )
    def test_networks_without_a_key_past_no_proxy(self, peer: str, headers: dict[str, str], status: int) -> None:
        gateway = FakeGateway(INSIDE)
        answer = gateway.anonymous.get(METRICS, headers=headers, environ_base={"REMOTE_ADDR": peer})
        assert answer.status_code == status
        if status == 401:
            assert_problem(answer, 401, "unauthenticated")

    def test_a_proxy_cannot_be_made_to_look_like_a_network(self) -> None:
        gateway = FakeGateway(INSIDE.model_copy(update={"trusted_proxies": 1}))
        assert gateway.anonymous.get(METRICS, headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 401

    def test_keys_with_the_scope(self) -> None:
        gateway = FakeGateway(Settings(metrics_networks=()))
        shown = {scope: f"csk_{number:012d}_{'k' * 43}" for number, scope in enumerate(Scope)}
        for scope, key in shown.items():
            gateway.keys.insert(key_of(key, [scope]))

        def status(scope: Scope) -> int:
            return gateway.anonymous.get(METRICS, headers={"Authorization": f"Bearer {shown[scope]}"}).status_code

        opens = {scope for scope in Scope if status(scope) == 200}
        assert opens == {Scope.METRICS_READ, Scope.ADMIN}

    def test_a_network_also_while_the_database_is_away(self) -> None:
        gateway = FakeGateway(INSIDE)
        gateway.keys.failure = gateway.quotas.failure = StoreUnavailable("away")
        assert gateway.anonymous.get(METRICS).status_code == 200


class TestRequests:
    def test_are_named_by_route_and_method_never_by_path(self) -> None:
        grown, gateway = Growth(), FakeGateway()
        gateway.client.get(f"{CUSTOMERS}/C17")
        gateway.client.get(f"{CUSTOMERS}/C18")
        gateway.client.get("/api/v1/nothing/C17")
        gateway.client.open("/health/live", method="BREW")
        name, route = "gateway_http_requests_total", CUSTOMERS + "/{CUST_ID}"
        assert grown.of(name, method="GET", route=route, status="404") == 2
        assert grown.of("gateway_http_request_duration_seconds_count", method="GET", route=route) == 2
        assert grown.of(name, method="GET", route="unknown", status="404") == 1
        assert grown.of(name, method="other", route="unknown", status="405") == 1
        assert "C17" not in gateway.client.get(METRICS).text

    def test_that_are_limited(self) -> None:
        grown, gateway = Growth(), FakeGateway(Settings(rate_limit=(Rate(1, 60),)))
        assert [gateway.client.get(CUSTOMERS).status_code for _ in range(3)] == [200, 429, 429]
        assert grown.of("gateway_rate_limited_total", limit="default") == 2

    def test_that_find_no_place_and_places_that_are_taken(self) -> None:
        grown, limits = Growth(), concurrency_limits(1)
        of = metrics.OfConcurrency(limits)
        with limits.exports.held("a"):
            with pytest.raises(AnalysisBusy), limits.exports.held("a"):
                pass
            of.look()
            assert grown.of("gateway_concurrency_in_use", work="exports") == 1
        for _ in range(2):
            of.look()
        assert grown.of("gateway_concurrency_in_use", work="exports") == 0
        assert grown.of("gateway_concurrency_refused_total", work="exports") == 1

    def test_are_answered_when_they_cannot_be_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said: list[str] = []

        def full(*_: object) -> None:
            raise OSError("no space left")

        monkeypatch.setattr(metrics.requests, "_known", {})
        monkeypatch.setattr(metrics.requests, "_new", full)
        monkeypatch.setattr(text.log, "exception", said.append)
        assert FakeGateway().client.get("/health/live").status_code == 200
        assert said == ["a metric could not be written"]


class Client:
    """A client of the model service whose calls end as the test says."""

    outcome: Any = Reply(200, None, b"")  # type: ignore[arg-type]

    @metrics.timed
    def query(self, method: str, path: str) -> Reply:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        reply: Reply = self.outcome
        return reply


class TestCallsOfTheModelService:
    @pytest.mark.parametrize(
        ("outcome", "kind"),
        [
            (DOWN, "unavailable"),
            (SLOW, "timeout"),
            (MALFORMED, "malformed"),
            (Reply(503, None, b""), "refused"),  # type: ignore[arg-type]
            (Reply(401, None, b""), "refused"),  # type: ignore[arg-type]
            (Reply(422, None, b""), None),  # type: ignore[arg-type]
            (Reply(200, None, b""), None),  # type: ignore[arg-type]
        ],
    )
    def test_are_timed_and_those_that_fail_are_counted(self, outcome: Any, kind: str | None) -> None:
        grown, client = Growth(), Client()
        client.outcome = outcome
        try:
            client.query("POST", "/v1/predict")
        except type(outcome):
            assert kind
        assert grown.of("gateway_model_service_request_duration_seconds_count", operation="predict") == 1
        kinds = ("unavailable", "timeout", "malformed", "refused")
        failed = [each for each in kinds if grown.of("gateway_model_service_errors_total", kind=each)]
        assert failed == ([kind] if kind else [])

    @pytest.mark.parametrize(
        ("path", "operation"),
        [
            ("/v1/predict?explain=true", "predict"),
            ("/v1/predict/batch", "predict_batch"),
            ("/v1/models", "models"),
            ("/v1/models/20260101T000000Z-1/gate", "models.gate"),
            ("/v1/models/v1/plots/elbow.svg", "models.plots"),
            ("/health/ready", "ready"),
            ("/v1/nothing/C17", "other"),
        ],
    )
    def test_are_named_by_what_is_no_id(self, path: str, operation: str) -> None:
        assert metrics.operation_of(path) == operation


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ExecutionTimeout("slow", 50), "unavailable"),
        (OperationFailure("no", 121), "rejected"),
        (PyMongoError("bad"), "failed"),
    ],
)
def test_failures_of_mongodb_are_counted_by_kind(error: PyMongoError, kind: str) -> None:
    grown = Growth()
    with pytest.raises(StoreError), store_errors():
        raise error
    assert grown.of("gateway_mongodb_errors_total", kind=kind) == 1


def test_the_text_is_one_that_prometheus_takes() -> None:
    gateway = FakeGateway(INSIDE)
    gateway.client.post(CUSTOMERS, json=body())
    answer = gateway.client.get(METRICS)
    assert answer.content_type == text.CONTENT_TYPE
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"gateway_http_requests", "gateway_mongodb_breaker_open", "gateway_assignments_pending"} <= names
    if promtool := shutil.which("promtool"):
        judged = subprocess.run([promtool, "check", "metrics"], input=answer.data, capture_output=True, timeout=60)
        assert (judged.returncode, judged.stderr.decode()) == (0, "")
