"""Requests as both tiers count and time them."""

from __future__ import annotations

from typing import Final, NamedTuple

from prometheus_client import Counter, Histogram

from shared.metrics.text import harmless

UNKNOWN_ROUTE: Final = "unknown"
"""Stands for every address that there is no route for."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Series(NamedTuple):
    counter: Counter
    durations: Histogram


class RequestMetrics:
    """The requests of a tier: their rate, their errors, their duration.

    Parameters
    ----------
    buckets : bounds of durations, in seconds.
    """

    def __init__(self, tier: str, buckets: tuple[float, ...]) -> None:
        self._counter = Counter(
            f"{tier}_http_requests_total", "Requests that were answered.", ["method", "route", "status"]
        )
        self._durations = Histogram(
            f"{tier}_http_request_duration_seconds",
            "Time until the answer was ready to be sent.",
            ["method", "route"],
            buckets=buckets,
        )
        self._known: dict[tuple[str, str | None, int], _Series] = {}

    @harmless
    def answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count and time a request; `route` is its template, None where there is nothing at its address."""
        series = self._known.get((method, route, status)) or self._new(method, route, status)
        series.counter.inc()
        series.durations.observe(seconds)

    def _new(self, method: str, route: str | None, status: int) -> _Series:
        named = method if method in _METHODS else "other"  # a client may call it as it likes
        shown = UNKNOWN_ROUTE if route is None else route
        series = _Series(self._counter.labels(named, shown, str(status)), self._durations.labels(named, shown))
        if named == method:
            self._known[method, route, status] = series
        return series
