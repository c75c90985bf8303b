"""What a key stands for, as time goes by."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from fakes.idempotency import InMemoryIdempotencyStore

from gateway.services.access.idempotency import (
    MAX_STORED_BYTES,
    Attempt,
    IdempotencyService,
    IdempotentRequest,
    StoredResponse,
)
from gateway.services.errors import IdempotencyKeyReused, OutcomeUnknown, RequestInProgress
from gateway.services.principal import Principal

BEGUN = datetime(2030, 5, 1)
CRM = Principal("api_key", "k1", "CRM", frozenset())
ANSWER = StoredResponse(201, {"ETag": '"r"'}, b"{}")


class Clock:
    def __init__(self) -> None:
        self.now = BEGUN

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys() -> InMemoryIdempotencyStore:
    return InMemoryIdempotencyStore()


@pytest.fixture
def service(keys: InMemoryIdempotencyStore, clock: Clock) -> IdempotencyService:
    return IdempotencyService(keys, 24, clock)


def _asked(key: str = "order-1", fingerprint: str = "f", *, again: bool = True) -> IdempotentRequest:
    return IdempotentRequest(key, fingerprint, (), again)


def _begin(
    service: IdempotencyService, asked: IdempotentRequest | None = None, caller: Principal = CRM
) -> Attempt | StoredResponse:
    return service.begin(asked or _asked(), caller, 60)


def _attempt(service: IdempotencyService, asked: IdempotentRequest | None = None) -> Attempt:
    begun = _begin(service, asked)
    assert isinstance(begun, Attempt)
    return begun


def test_a_first_attempt_has_no_earlier_ones(service: IdempotencyService) -> None:
    assert _attempt(service).first_at is None


def test_the_key_itself_is_not_kept(service: IdempotencyService, keys: InMemoryIdempotencyStore) -> None:
    _begin(service)
    assert "order-1" not in repr(keys.records)


@pytest.mark.parametrize(
    "other", [Principal("api_key", "k2", "CRM", frozenset()), Principal("token", "k1", "CRM", frozenset())]
)
def test_a_key_belongs_to_its_caller(service: IdempotencyService, other: Principal) -> None:
    _attempt(service)
    assert isinstance(_begin(service, caller=other), Attempt)


def test_callers_and_keys_do_not_run_into_each_other(service: IdempotencyService) -> None:
    _begin(service, _asked("1x"), Principal("api_key", "k", "", frozenset()))
    begun = _begin(service, _asked("x"), Principal("api_key", "k1", "", frozenset()))
    assert isinstance(begun, Attempt)


def test_a_repetition_hears_that_the_first_is_running_and_then_gets_its_answer(service: IdempotencyService) -> None:
    attempt = _attempt(service)
    with pytest.raises(RequestInProgress):
        _begin(service)
    service.finish(attempt, ANSWER)
    assert _begin(service) == ANSWER


def test_another_request_under_the_key_is_refused(service: IdempotencyService) -> None:
    attempt = _attempt(service)
    with pytest.raises(IdempotencyKeyReused):
        _begin(service, _asked(fingerprint="other"))
    service.finish(attempt, ANSWER)
    with pytest.raises(IdempotencyKeyReused):
        _begin(service, _asked(fingerprint="other"))


def test_after_a_refusal_the_key_is_free_for_any_request(service: IdempotencyService) -> None:
    service.release(_attempt(service))
    assert _attempt(service, _asked(fingerprint="other")).first_at is None


def test_an_attempt_that_broke_off_is_repeated_at_once_and_knows_since_when(
    service: IdempotencyService, clock: Clock
) -> None:
    service.break_off(_attempt(service))
    clock.now += timedelta(seconds=1)
    with pytest.raises(IdempotencyKeyReused):
        _begin(service, _asked(fingerprint="other"))
    assert _attempt(service).first_at == BEGUN


def test_an_attempt_whose_process_died_is_repeated_when_its_lease_ends(
    service: IdempotencyService, clock: Clock
) -> None:
    _begin(service)
    for passed, retry_after, settled_in in ((0, 1, 60), (10, 10, 50), (20, 30, 30), (29, 1, 1)):
        clock.now += timedelta(seconds=passed)
        with pytest.raises(RequestInProgress, match=f"at most {settled_in} seconds") as told:
            _begin(service)
        assert told.value.retry_after == retry_after
    clock.now += timedelta(seconds=1)
    assert _attempt(service).first_at == BEGUN


def test_what_must_not_happen_twice_is_not_repeated(service: IdempotencyService, clock: Clock) -> None:
    once = _asked(again=False)
    service.break_off(_attempt(service, once))
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            _begin(service, once)
    with pytest.raises(IdempotencyKeyReused):
        _begin(service, _asked(fingerprint="other", again=False))


def test_an_attempt_that_lost_its_key_keeps_nothing(service: IdempotencyService, clock: Clock) -> None:
    slow = _attempt(service)
    clock.now += timedelta(seconds=60)
    second = _attempt(service)
    service.finish(slow, ANSWER)
    service.release(slow)
    with pytest.raises(RequestInProgress):
        _begin(service)
    service.finish(second, StoredResponse(200, {}, b"second"))
    assert _begin(service) == StoredResponse(200, {}, b"second")


def test_a_long_answer_is_kept_compressed(service: IdempotencyService, keys: InMemoryIdempotencyStore) -> None:
    answer = StoredResponse(200, {"Content-Type": "application/json"}, b"[" + b"1," * 100_000 + b"1]")
    service.finish(_attempt(service), answer)
    (record,) = keys.records.values()
    assert record.answer is not None
    assert record.answer.body is not None
    assert len(record.answer.body) < 2_000
    assert _begin(service) == answer


def test_of_an_answer_that_is_too_large_only_the_rest_is_kept(
    service: IdempotencyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_STORED_BYTES < 16_000_000
    monkeypatch.setattr("gateway.services.access.idempotency.MAX_STORED_BYTES", 10)
    service.finish(_attempt(service), StoredResponse(200, {"Location": "/x"}, bytes(range(11))))
    assert _begin(service) == StoredResponse(200, {"Location": "/x"}, None)
