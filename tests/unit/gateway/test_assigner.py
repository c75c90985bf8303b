"""The assigner's circuit breaker, on a clock that the tests turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from fakes.model import DOWN, MALFORMED, SLOW, FakeModel
from support.customers import inputs

from gateway.services.clock import now
from gateway.services.customers.assignment import Assigner, assignment_of
from gateway.services.customers.customer import new_revision
from gateway.services.errors import ModelServiceError, ModelUnavailable
from shared.features import complete

FEATURES = complete(inputs())
RICH = complete(inputs(BALANCE=5_000))


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def assigner(model: FakeModel, clock: Clock) -> Assigner:
    return Assigner(model, deadline=0.5, pause=1.0, clock=clock)


@pytest.mark.parametrize("failure", [DOWN, SLOW, MALFORMED])
def test_a_failing_model_costs_one_call_per_pause(
    assigner: Assigner, model: FakeModel, clock: Clock, failure: ModelServiceError
) -> None:
    model.failure = failure
    for _ in range(5):
        assert assigner.assign(FEATURES) is None
    assert len(model.calls) == 1
    clock.time += 0.999
    assert assigner.assign(FEATURES) is None
    assert len(model.calls) == 1
    clock.time += 0.001
    assert assigner.assign(FEATURES) is None
    assert assigner.assign(FEATURES) is None
    assert len(model.calls) == 2


def test_it_works_again_as_soon_as_a_probe_succeeds(assigner: Assigner, model: FakeModel, clock: Clock) -> None:
    model.failure = DOWN
    assigner.assign(FEATURES)
    model.failure = None
    clock.time += 1.0
    assert assigner.assign(FEATURES) is not None
    assert assigner.assign(FEATURES) is not None
    assert len(model.calls) == 3


def test_while_one_probes_the_others_skip_the_model(assigner: Assigner, model: FakeModel, clock: Clock) -> None:
    model.failure = DOWN
    assigner.assign(FEATURES)
    clock.time += 1.0
    others = []
    model.meanwhile = lambda: others.append(assigner.assign(FEATURES))
    assigner.assign(FEATURES)
    assert others == [None]
    assert len(model.calls) == 2


def test_a_slow_failure_starts_the_pause_at_its_end(assigner: Assigner, model: FakeModel, clock: Clock) -> None:
    def wait() -> None:
        clock.time += 30.0

    model.failure, model.meanwhile = SLOW, wait
    assigner.assign(FEATURES)
    assigner.assign(FEATURES)
    assert len(model.calls) == 1


def test_the_deadline_goes_to_the_model(assigner: Assigner, model: FakeModel) -> None:
    assigner.assign(FEATURES)
    assert model.deadlines == [0.5]


def test_many_get_what_each_would_get(assigner: Assigner) -> None:
    many = assigner.assign_columns([FEATURES, RICH])
    assert many is not None
    singly = [assigner.assign(FEATURES), assigner.assign(RICH)]
    for one, other in zip(many, singly, strict=True):
        assert other is not None
        assert one | {"assigned_at": 0} == other | {"assigned_at": 0}  # type: ignore[operator]


def test_many_get_none_when_the_model_is_away_and_the_breaker_opens(assigner: Assigner, model: FakeModel) -> None:
    model.failure = DOWN
    assert assigner.assign_columns([FEATURES]) is None
    assert assigner.assign(FEATURES) is None
    assert assigner.assign_columns([FEATURES]) is None, "an import does not wait for a hung model at every batch"
    assert model.calls == [("score", 1)]


def test_score_tells_its_caller_of_a_failure(assigner: Assigner, model: FakeModel) -> None:
    model.failure = DOWN
    with pytest.raises(ModelUnavailable):
        assigner.score([FEATURES])


def test_a_model_of_one_segment_has_no_rival(assigner: Assigner, model: FakeModel) -> None:
    prediction = model.predict(FEATURES, 1.0)
    assert assignment_of({**prediction, "rival": None})["rival"] is None
    model.rival = -1
    (assignment,) = assigner.score([FEATURES])
    assert assignment["rival"] is None


def test_times_are_what_mongodb_keeps() -> None:
    assert now().microsecond % 1000 == 0
    assert now().tzinfo is None
    assert abs(datetime.now(UTC).replace(tzinfo=None) - now()) < timedelta(minutes=1)


def test_revisions_are_unguessable() -> None:
    assert len({new_revision() for _ in range(100)}) == 100
    assert len(new_revision()) == 16
