"""Rate limits: leases add up to the rate, whatever the number of processes and however their requests interleave."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import pytest
from contracts.rate_limits import QuotaStoreContract
from fakes.rate_limits import InMemoryQuotaStore
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.access import rate_limits
from gateway.services.access.rate_limits import AWAY_SECONDS, Grant, Limiter, Rate, share
from gateway.services.errors import RateLimited, StoreError, StoreUnavailable


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quotas(clock: Clock) -> InMemoryQuotaStore:
    return InMemoryQuotaStore(clock)


def _limiter(quotas: InMemoryQuotaStore, clock: Clock, *rates: Rate) -> Limiter:
    return Limiter(quotas, "default", rates or (Rate(10, 60),), clock)


def _passes(limiter: Limiter, caller: str = "c") -> int:
    """Return how many requests pass until one is refused."""
    passed = 0
    try:
        while True:
            limiter.spend(caller)
            passed += 1
    except RateLimited:
        return passed


class TestInMemoryQuotaStore(QuotaStoreContract):
    pass


class TestShare:
    @given(st.integers(0, 10**9), st.integers(1, 10**6))
    def test_is_something_while_something_is_left(self, left: int, most: int) -> None:
        taken = share(left, most)
        assert min(left, 1) <= taken <= min(left, most)
        assert left > 16 or taken <= max(left // 8, 1), "single steps at the end"


class TestLimiter:
    @given(st.integers(1, 3_000), st.lists(st.integers(0, 3), min_size=1, max_size=400))
    def test_processes_together_never_pass_the_rate(self, amount: int, order: list[int]) -> None:
        clock = Clock()
        quotas = InMemoryQuotaStore(clock)
        processes = [_limiter(quotas, clock, Rate(amount, 60)) for _ in range(4)]
        passed = 0
        for process in order:
            try:
                processes[process].spend("c")
                passed += 1
            except RateLimited:
                pass
        passed += sum(_passes(process) for process in processes)
        assert passed == amount

    def test_one_process_gets_the_whole_rate_and_asks_seldom(self, quotas: InMemoryQuotaStore, clock: Clock) -> None:
        limiter = _limiter(quotas, clock, Rate(12_000, 60))
        assert _passes(limiter) == 12_000
        assert quotas.asked < 300

    def test_the_next_window_is_whole_again(self, quotas: InMemoryQuotaStore, clock: Clock) -> None:
        limiter = _limiter(quotas, clock)
        assert _passes(limiter) == 10
        clock.now += 59.9
        assert _passes(limiter) == 0
        clock.now += 0.1
        assert _passes(limiter) == 10

    def test_a_refusal_costs_no_question(self, quotas: InMemoryQuotaStore, clock: Clock) -> None:
        limiter = _limiter(quotas, clock)
        _passes(limiter)
        asked = quotas.asked
        assert [_passes(limiter) for _ in range(3)] == [0, 0, 0]
        assert quotas.asked == asked

    def test_callers_are_counted_apart(self, quotas: InMemoryQuotaStore, clock: Clock) -> None:
        limiter = _limiter(quotas, clock)
        assert (_passes(limiter, "a"), _passes(limiter, "b")) == (10, 10)

    def test_all_of_several_rates_hold(self, quotas: InMemoryQuotaStore, clock: Clock) -> None:
        limiter = _limiter(quotas, clock, Rate(10, 60), Rate(15, 3600))
        assert _passes(limiter) == 10
        clock.now += 60
        assert _passes(limiter) == 5

    def test_a_caller_learns_where_it_stands(self, quotas: InMemoryQuotaStore, clock: Clock) -> None:
        limiter = _limiter(quotas, clock)
        limiter.spend("c")
        clock.now += 20.5
        standing = limiter.spend("c")
        assert standing == ("default", 10, 8, 40, '"default";q=10;w=60')
        _passes(limiter)
        with pytest.raises(
            RateLimited, match="limit of 10 requests is used up; the next window begins in 40 s"
        ) as caught:
            limiter.spend("c")
        assert caught.value.standing == standing._replace(remaining=0)

    def test_of_several_rates_the_tightest_is_told(self, quotas: InMemoryQuotaStore, clock: Clock) -> None:
        limiter = _limiter(quotas, clock, Rate(10, 60), Rate(5, 3600))
        standing = limiter.spend("c")
        assert standing[:4] == ("default-3600", 5, 4, 3600)
        assert standing.policies == '"default-60";q=10;w=60, "default-3600";q=5;w=3600'

    def test_threads_never_pass_the_rate(self, quotas: InMemoryQuotaStore, clock: Clock) -> None:
        limiter, passed = _limiter(quotas, clock, Rate(2_000, 60)), []
        threads = [Thread(target=lambda: passed.append(_passes(limiter))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(passed) == 2_000

    def test_memory_is_bounded(self, quotas: InMemoryQuotaStore, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rate_limits, "MOST_CALLERS", 10)
        limiter = _limiter(quotas, clock)
        for number in range(100):
            limiter.spend(str(number))
            assert len(limiter._meters[0]._leases) <= 10
        assert limiter.spend("99").remaining == 8, "the latest are kept"


class TestWithoutDatabase:
    @pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreError("refused")], ids=["away", "refused"])
    def test_a_process_counts_on_its_own(
        self, quotas: InMemoryQuotaStore, clock: Clock, error: StoreError, caplog: pytest.LogCaptureFixture
    ) -> None:
        quotas.failure = error
        limiter = _limiter(quotas, clock, Rate(120, 60))
        assert (_passes(limiter), _passes(limiter, "another")) == (120, 120)
        assert quotas.asked == 1
        assert caplog.messages == [f"rate limits are counted by each process on its own: {error}"]

    def test_it_asks_again_when_the_database_is_back(self, quotas: InMemoryQuotaStore, clock: Clock) -> None:
        quotas.failure = StoreUnavailable("away")
        limiter = _limiter(quotas, clock)
        limiter.spend("c")
        quotas.failure = None
        clock.now += AWAY_SECONDS
        assert (_passes(limiter, "another"), _passes(_limiter(quotas, clock), "another")) == (10, 0)
        assert _passes(limiter) == 9, "of the window in which it counted on its own"
        clock.now += 60
        assert (_passes(limiter), _passes(_limiter(quotas, clock))) == (10, 0)

    @pytest.mark.parametrize("before", [0, 1, 5, 9])
    def test_a_question_that_fails_in_a_window_changes_nothing_for_a_single_process(
        self, quotas: InMemoryQuotaStore, clock: Clock, before: int
    ) -> None:
        limiter = _limiter(quotas, clock)
        for _ in range(before):
            limiter.spend("c")
        quotas.failure = StoreUnavailable("a busy moment")
        limiter.spend("c")
        quotas.failure = None
        assert _passes(limiter) == 10 - before - 1
        clock.now += 60
        assert _passes(limiter) == 10

    def test_what_others_have_taken_stays_taken(self, quotas: InMemoryQuotaStore, clock: Clock) -> None:
        ours, others = _limiter(quotas, clock), _limiter(quotas, clock)
        for _ in range(4):
            others.spend("c")
        ours.spend("c")
        quotas.failure = StoreUnavailable("away")
        assert _passes(ours) == 5

    def test_a_tight_rate_lets_something_through(self, quotas: InMemoryQuotaStore, clock: Clock) -> None:
        quotas.failure = StoreUnavailable("away")
        assert _passes(_limiter(quotas, clock, Rate(1, 86_400))) == 1


class Jittery(InMemoryQuotaStore):
    """Tells the end of a window a little differently each time, as over a network."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._late: Iterator[float] = iter([0.0, 0.4, 0.1, 0.3] * 10_000)

    def take(self, key: str, rate: Rate, most: int) -> Grant:
        grant = super().take(key, rate, most)
        return grant._replace(seconds=grant.seconds + next(self._late))


def test_a_window_stays_one_however_its_end_is_told(clock: Clock) -> None:
    limiter = Limiter(Jittery(clock), "default", (Rate(500, 1),), clock)
    assert _passes(limiter) == 500
