"""What the gateway and its worker count and time for Prometheus; docs/operations.md lists all of it.

Here are the metrics that are written where something happens. Those that the worker reads from what the services keep
are in `gateway.worker_metrics`. Services know nothing of either: middleware, adapters and the worker write.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from types import FrameType
from typing import Concatenate, Final, ParamSpec, Protocol, TypeAlias, TypeVar, get_args

from prometheus_client import Counter, Gauge, Histogram

from gateway.services.access.concurrency import ConcurrencyLimits
from gateway.services.errors import ModelMalformed, ModelServiceError, ModelTimeout
from gateway.services.webhooks.webhook import Outcome
from shared.contract import PREDICT, PREDICT_BATCH
from shared.metrics.requests import RequestMetrics
from shared.metrics.text import harmless, multiprocess

SAMPLE_SECONDS: Final = 5.0
"""How often a process says how many places are taken of each kind of work."""


class _HasStatus(Protocol):
    @property
    def status(self) -> int: ...


_Client = TypeVar("_Client")
_Answered = TypeVar("_Answered", bound=_HasStatus)
_Options = ParamSpec("_Options")
_Call: TypeAlias = Callable[Concatenate[_Client, str, str, _Options], _Answered]


_operations = Histogram(
    "gateway_mongodb_operation_duration_seconds",
    "Time of one use of a collection, with all that it asks of MongoDB.",
    ["operation"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
)
_store_errors = Counter("gateway_mongodb_errors_total", "Uses of MongoDB that failed.", ["kind"])
_breaker_open = Gauge(
    "gateway_mongodb_breaker_open",
    "Whether MongoDB is away for a process, so that requests are refused.",
    multiprocess_mode="livemax",
)
_calls = Histogram(
    "gateway_model_service_request_duration_seconds",
    "Time of a call of the model service, to the last byte of its answer.",
    ["operation"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
)
_call_errors = Counter("gateway_model_service_errors_total", "Calls of the model service that failed.", ["kind"])
_rate_limited = Counter("gateway_rate_limited_total", "Requests that a rate limit refused.", ["limit"])
_refused = Counter("gateway_concurrency_refused_total", "Requests that found no place of their kind of work.", ["work"])
_in_use = Gauge(
    "gateway_concurrency_in_use", "Places that are taken of a kind of work.", ["work"], multiprocess_mode="livesum"
)
_webhooks = Histogram(
    "worker_webhook_delivery_duration_seconds",
    "Time of sending an event to a webhook, to the beginning of the answer.",
    ["outcome"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30),
)
_pending = Counter("gateway_assignments_pending_total", "Writes of customers that were stored without a segment.")

for _kind in ("unavailable", "rejected", "failed", "breaker_open"):
    _store_errors.labels(_kind)
for _kind in ("unavailable", "timeout", "malformed", "refused"):
    _call_errors.labels(_kind)
for _limit in ("default", "bulk", "anonymous"):
    _rate_limited.labels(_limit)
for _operation in ("predict", "predict_batch"):
    _calls.labels(_operation)
for _outcome in get_args(Outcome):
    _webhooks.labels(_outcome)


requests: Final = RequestMetrics("gateway", (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10))


_of_operations: dict[tuple[str, str], Histogram] = {}


@harmless
def operation_done(collection: str, caller: FrameType, begun: float) -> None:
    """Time the use of a collection, which began at this reading of `time.perf_counter`, by the method that made it."""
    key = collection, caller.f_code.co_name
    found = _of_operations.get(key)
    if found is None:
        found = _of_operations[key] = _operations.labels(f"{collection}.{key[1].strip('_')}")
    found.observe(time.perf_counter() - begun)


@harmless
def store_failed(kind: str) -> None:
    """Count a use of MongoDB that failed."""
    _store_errors.labels(kind).inc()


@harmless
def breaker_is(*, open_: bool) -> None:
    """Note whether MongoDB is away."""
    _breaker_open.set(open_)


@harmless
def webhook_answered(outcome: Outcome, seconds: float) -> None:
    """Time the sending of an event to a webhook."""
    _webhooks.labels(outcome).observe(seconds)


_WORDS: Final = frozenset(
    {
        *("live", "ready", "openapi.json", "models", "active", "gate", "activate", "rollback", "activations"),
        *("segments", "trainings", "log", "cancel", "erasures", "report", "plots", "preview", "drift", "explain-move"),
    }
)
"""What may stand in an operation's name; other parts of addresses are ids."""
_HOT: Final[Mapping[str, str]] = {PREDICT: "predict", PREDICT_BATCH: "predict_batch"}


@lru_cache(1024)
def operation_of(path: str) -> str:
    """Return what a call of the model service is named by: of its path, what is no id."""
    plain = path.partition("?")[0]
    words = [word for word in plain.split("/") if word in _WORDS]
    return _HOT.get(plain) or ".".join(words) or "other"


def timed(call: _Call[_Client, _Options, _Answered]) -> _Call[_Client, _Options, _Answered]:
    """Return a method of a client of the model service that times its calls and counts those that fail."""

    @wraps(call)
    def observed(
        client: _Client, method: str, path: str, /, *given: _Options.args, **named: _Options.kwargs
    ) -> _Answered:
        begun, failure = time.perf_counter(), None
        try:
            reply = call(client, method, path, *given, **named)
            failure = "refused" if reply.status >= 500 or reply.status in _DENIED else None
        except ModelServiceError as error:
            failure = _KINDS.get(type(error), "unavailable")
            raise
        finally:
            _call_done(path, time.perf_counter() - begun, failure)
        return reply

    return observed


@harmless
def _call_done(path: str, seconds: float, failure: str | None) -> None:
    operation = operation_of(path)
    found = _of_calls.get(operation)
    if found is None:
        found = _of_calls[operation] = _calls.labels(operation)
    found.observe(seconds)
    if failure:
        _call_errors.labels(failure).inc()


_of_calls: dict[str, Histogram] = {}
_DENIED: Final = (401, 403)
_KINDS: Final[Mapping[type[Exception], str]] = {ModelTimeout: "timeout", ModelMalformed: "malformed"}


@harmless
def rate_limited(limit: str) -> None:
    """Count a request that a rate limit refused."""
    _rate_limited.labels(limit).inc()


@harmless
def stored_pending(customers: int) -> None:
    """Count customers that were stored without a segment."""
    if customers:
        _pending.inc(customers)


class OfConcurrency:
    """Says again and again how many places are taken of each kind of work, and how many requests found none.

    So nothing is to be written where a place is taken and given back, twice a request.
    """

    def __init__(self, limits: ConcurrencyLimits) -> None:
        self._limits = limits._asdict()
        self._told = dict.fromkeys(self._limits, 0)
        self.look()

    @harmless
    def look(self) -> None:
        """Look once."""
        for work, limit in self._limits.items():
            _in_use.labels(work).set(limit.in_use)
            refused = limit.refused
            _refused.labels(work).inc(refused - self._told[work])
            self._told[work] = refused

    def follow(self) -> None:
        """Look for as long as the process lives, if it is one of a server's."""
        if multiprocess():
            threading.Thread(target=self._again, name="metrics", daemon=True).start()

    def _again(self) -> None:
        while True:
            time.sleep(SAMPLE_SECONDS)
            self.look()
