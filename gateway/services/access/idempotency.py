"""Carrying out a request once, however often it is sent: what the Idempotency-Key of a request stands for.

A key is claimed before the request is carried out, and its answer is kept before it is sent. A repetition gets the kept
answer, or hears that the first attempt is still running. What becomes of the key otherwise:

- a request that was refused had no effect: its key is free again, also for another request;
- one that broke off (its process died, or the database or the model service gave no clear answer) may have had its
  effect. Its key stays bound to it. After a broken-off attempt it is carried out again where that comes to the same;
  elsewhere the caller is told that nobody knows.
"""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple, Protocol

from gateway.services.clock import now
from gateway.services.errors import IdempotencyKeyReused, OutcomeUnknown, RequestInProgress
from gateway.services.principal import Principal

MAX_STORED_BYTES = 8 * 1024 * 1024
"""Bytes of a kept answer's body, compressed; a document of MongoDB may have 16 MiB."""
_SECOND = timedelta(seconds=1)
_WORTH_PACKING = 2 * 1024
_FASTEST = 1


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """An answer as it is sent again; ``body`` is None where only the rest was kept, and compressed if ``packed``."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None
    packed: bool = False


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What stands under a key.

    Attributes
    ----------
    fingerprint : tells the request from others.
    attempt : the attempt that holds the key, or held it last.
    attempts : how many there have been.
    first_at : when the first began.
    lock_until : when the last one counts as broken off.
    answer : None until there is one.
    """

    fingerprint: str
    attempt: str
    attempts: int
    first_at: datetime
    lock_until: datetime
    answer: StoredResponse | None


class Claim(NamedTuple):
    """An attempt that wants a key.

    ``takes_over`` says whether it may follow on one that has broken off, ``customers`` which CUST_IDs the request
    names.
    """

    key: str
    fingerprint: str
    attempt: str
    at: datetime
    lock_until: datetime
    expires_at: datetime
    takes_over: bool
    customers: Collection[str]


class IdempotencyStore(Protocol):
    """Keys and what stands under them, kept durably until they expire. Every method may raise `StoreError`."""

    @property
    def name(self) -> str:
        """What the receipt of an erasure calls it."""

    def claim(self, claim: Claim) -> KeyRecord:
        """Claim a key that is free, or whose attempt at the same request broke off if the claim takes over.

        Return what stands under the key then; the claim has succeeded if that has its attempt.
        """

    def finish(self, key: str, attempt: str, answer: StoredResponse) -> None:
        """Keep the answer if the attempt still holds the key; only its status, if a customer was erased meanwhile."""

    def break_off(self, key: str, attempt: str, at: datetime) -> None:
        """Let another attempt take the key over at once."""

    def release(self, key: str, attempt: str) -> None:
        """Free the key."""

    def erase(self, cust_id: str) -> int:
        """Empty the answers that concern the customer; return how many. The keys stay, so that nothing is redone."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request that is being carried out under a key.

    ``first_at`` is when its first attempt began, if earlier ones have broken off: they may have had their effect.
    """

    key: str
    id: str
    first_at: datetime | None


class IdempotentRequest(NamedTuple):
    """A request with a key; `again` says whether it may be carried out again after it broke off."""

    key: str
    fingerprint: str
    customers: Collection[str]
    again: bool


class IdempotencyService:
    """Carries requests out once.

    Parameters
    ----------
    hours : how long a key is remembered, from its first attempt.
    """

    def __init__(self, store: IdempotencyStore, hours: int, clock: Callable[[], datetime] = now) -> None:
        self._store = store
        self._kept_for = timedelta(hours=hours)
        self._clock = clock

    def begin(self, asked: IdempotentRequest, caller: Principal, lease: float) -> Attempt | StoredResponse:
        """Claim the request's key, or return the answer that is kept under it.

        Parameters
        ----------
        lease : seconds after which the attempt counts as broken off; more than it can take.

        Raises
        ------
        IdempotencyKeyReused, RequestInProgress, OutcomeUnknown, StoreError
        """
        claim = self._claim(asked, caller, lease)
        record = self._store.claim(claim)
        if record.attempt == claim.attempt:
            return Attempt(claim.key, claim.attempt, record.first_at if record.attempts > 1 else None)
        if record.fingerprint != claim.fingerprint:
            raise IdempotencyKeyReused
        if record.answer is not None:
            return _unpacked(record.answer)
        if record.lock_until <= claim.at:
            raise OutcomeUnknown
        raise _in_progress(claim, record)

    def finish(self, attempt: Attempt, answer: StoredResponse) -> None:
        """Keep the answer; without its body where that is too large."""
        self._store.finish(attempt.key, attempt.id, _packed(answer))

    def break_off(self, attempt: Attempt) -> None:
        """Note that the attempt has ended, and that nobody knows whether it had its effect."""
        self._store.break_off(attempt.key, attempt.id, self._clock())

    def release(self, attempt: Attempt) -> None:
        """Note that the attempt has ended without an effect."""
        self._store.release(attempt.key, attempt.id)

    def _claim(self, asked: IdempotentRequest, caller: Principal, lease: float) -> Claim:
        at = self._clock()
        return Claim(
            key=hashlib.sha256(f"{caller.kind}\0{caller.id}\0{asked.key}".encode()).hexdigest(),
            fingerprint=asked.fingerprint,
            attempt=secrets.token_hex(8),
            at=at,
            lock_until=at + timedelta(seconds=lease),
            expires_at=at + self._kept_for,
            takes_over=asked.again,
            customers=asked.customers,
        )


def _in_progress(claim: Claim, record: KeyRecord) -> RequestInProgress:
    """Return what the caller hears: to wait as long again as the first attempt has taken so far."""
    left = record.lock_until - claim.at
    so_far = (claim.lock_until - claim.at) - left
    return RequestInProgress(ceil(max(1, min(left, so_far) / _SECOND)), ceil(left / _SECOND))


def _packed(answer: StoredResponse) -> StoredResponse:
    body = answer.body
    if worth_it := body is not None and len(body) > _WORTH_PACKING:
        body = zlib.compress(body, _FASTEST)
    if body is not None and len(body) > MAX_STORED_BYTES:
        return replace(answer, body=None)
    return replace(answer, body=body, packed=worth_it)


def _unpacked(answer: StoredResponse) -> StoredResponse:
    if answer.body is None or not answer.packed:
        return answer
    return replace(answer, body=zlib.decompress(answer.body), packed=False)
