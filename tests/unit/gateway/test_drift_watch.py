"""The worker's look at drift: when it looks, and what stops it."""

from __future__ import annotations

import pytest
from contracts.drift import DriftChecksContract, found
from fakes.drift import InMemoryDriftChecks
from fakes.model import FakeModel
from fakes.registry import OLD, FakeRegistry
from fakes.store import InMemoryCustomerStore

from gateway.services.errors import ModelUnavailable
from gateway.services.models.analyses import AnalysisService
from gateway.services.models.drift_watch import LOOK_SECONDS, DriftWatch


class TestInMemoryDriftChecks(DriftChecksContract):
    @pytest.fixture
    def checks(self) -> InMemoryDriftChecks:
        return InMemoryDriftChecks()


class Watched:
    """A watch with a clock that the test sets."""

    def __init__(self, checks: InMemoryDriftChecks, hours: float = 24) -> None:
        self.at = 0.0
        self.model = FakeModel(OLD)
        self.customers = 0
        analyses = AnalysisService(InMemoryCustomerStore(), FakeRegistry())
        self.watch = DriftWatch(checks, self.model, analyses, hours, 600, lambda: self.customers, lambda: self.at)

    def look(self) -> int:
        self.at += LOOK_SECONDS
        return self.watch.run_once()


def test_of_several_workers_one_looks_and_again_when_another_version_is_active() -> None:
    checks = InMemoryDriftChecks()
    first, second = Watched(checks), Watched(checks)
    assert [first.look(), second.look(), first.look()] == [1, 0, 0]
    last = first.watch.latest()
    assert last is not None
    assert (last.model_version, last.verdict) == (first.model.current, "not_enough_data")
    checks.keep(found("v0"))
    assert [second.look(), first.look()] == [1, 0]


def test_where_there_were_too_few_it_looks_again_when_more_are_loaded() -> None:
    checks = InMemoryDriftChecks()
    watched = Watched(checks)
    assert [watched.look(), watched.look()] == [1, 0]
    watched.customers = 4_000
    assert watched.watch.latest() is None, "what was found of nobody says nothing of them"
    assert watched.look() == 0, "more may be coming"
    watched.customers = 8_950
    assert [watched.look(), watched.look(), watched.look()] == [0, 1, 0]
    last = watched.watch.latest()
    assert last is not None
    assert last.customers == 8_950
    checks.keep(found(watched.model.current), 8_950)
    watched.customers = 20_000
    assert [watched.look(), watched.look()] == [0, 0]
    assert watched.watch.latest() == checks.latest()


def test_between_two_looks_nobody_is_asked() -> None:
    watched = Watched(InMemoryDriftChecks())
    watched.look()
    watched.model.failure = ModelUnavailable("away")
    assert watched.watch.run_once() == 0


def test_while_the_model_service_is_away_nothing_is_claimed() -> None:
    checks = InMemoryDriftChecks()
    watched = Watched(checks)
    watched.model.failure = ModelUnavailable("away")
    with pytest.raises(ModelUnavailable):
        watched.look()
    watched.model.failure = None
    assert watched.look() == 1


def test_never() -> None:
    watched = Watched(InMemoryDriftChecks(), hours=0)
    assert [watched.look(), watched.watch.latest()] == [0, None]
