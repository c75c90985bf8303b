from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plausible_models import Drawn, drawn

from model_service.scoring.counterfactual import DECIMALS, SIMPLER, CounterfactualSearch, _oddities
from model_service.scoring.pipeline import CompiledScorer, Parameters
from model_service.scoring.possible import completed
from shared.features import DISTANCE, DISTANCE_NAMES, complete
from shared.findings import findings

SEEDS = st.integers(0, 2**32 - 1)


def search(model: Drawn):
    scores = model.scorer.score(model.rows)
    found = CounterfactualSearch(model.scorer, model.low, model.high).find(model.rows, scores.nearest, scores.rival)
    return scores, found


def length(model: Drawn, row, changes) -> float:
    changed = row.copy()
    changed[list(changes)] = list(changes.values())
    standardise = model.scorer.parameters.standardise
    return float(np.linalg.norm(standardise(changed) - standardise(row)))


@given(seed=SEEDS, k=st.integers(2, 6))
def test_a_changed_customer_is_sound_and_belongs_to_the_rival(seed, k):
    model = drawn(seed, k)
    scores, found = search(model)
    for row, rival, changes in zip(model.rows, scores.rival, found, strict=True):
        if changes is None:
            continue
        changed = row.copy()
        for f, value in changes.items():
            assert DISTANCE[f].fault(value) is None
            assert model.low[f] <= value <= model.high[f]
            assert value == round(value, DECIMALS[DISTANCE[f].kind])
            assert value != row[f]
            changed[f] = value
        assert model.scorer.score(changed[None]).nearest[0] == rival
        assert model.scorer.score_one(changed).nearest == rival
        assert oddities(changed) <= oddities(row)


def oddities(row):
    """What is odd about a customer, in the words of the warnings and beyond."""
    known = zip(DISTANCE_NAMES, row.tolist(), strict=True)
    values = complete({name: None if value != value else value for name, value in known})
    said = {(found["pointer"], found["code"]) for found in findings(values)}
    assert said <= _oddities(row)
    return _oddities(row)


def grid(model: Drawn, f: int, points: int = 60):
    logs = np.linspace(*np.log1p([model.low[f], model.high[f]]), points)
    values = np.unique(np.expm1(logs).round(DECIMALS[DISTANCE[f].kind]))
    return values[(values >= model.low[f]) & (values <= model.high[f])]


def shortest_on_grid(model: Drawn, row, rival, features, combinations) -> float:
    """The length of the shortest change of `features` to any of `combinations` that leads soundly to the rival."""
    before = np.repeat(row[None], len(combinations), axis=0)
    changed = before.copy()
    changed[:, features] = combinations
    changed = completed(changed, before, np.expm1(model.scorer.parameters.log_centroids()[[rival] * len(changed)]))
    touched = (changed != before) & ~np.isnan(changed)
    sound = ((changed >= model.low) & (changed <= model.high) | ~touched).all(axis=1)
    there = changed[sound & (model.scorer.score(changed).nearest == rival)]
    standardise, odd = model.scorer.parameters.standardise, oddities(row)
    lengths = np.linalg.norm(standardise(there) - standardise(row), axis=1)
    shortest_first = np.argsort(lengths).tolist()
    return next((float(lengths[place]) for place in shortest_first if oddities(there[place]) <= odd), np.inf)


def test_hardly_any_single_change_could_be_shorter():
    """By trying them; with two segments, as no third one can then stand in the way.

    What goes with a change makes the gap jump, so that a search from both ends passes over a shorter one now and then.
    """
    excess = []
    for seed in range(50):
        model = drawn(seed, 2, rows=4)
        scores, found = search(model)
        for row, rival, changes in zip(model.rows, scores.rival, found, strict=True):
            if changes is not None:
                best = min(
                    shortest_on_grid(model, row, rival, [f], grid(model, f)[:, None]) for f in range(len(DISTANCE))
                )
                excess.append((length(model, row, changes) - 0.01) / best)
    assert len(excess) > 150
    assert np.quantile(excess, 0.99) <= 1.02


@given(seed=SEEDS, data=st.data())
def test_no_much_shorter_change_of_two_features_exists(seed, data):
    model = drawn(seed, 2, rows=4)
    scores, found = search(model)
    fractional = [f for f, feature in enumerate(DISTANCE) if not feature.whole]
    pair = data.draw(st.lists(st.sampled_from(fractional), min_size=2, max_size=2, unique=True))
    values = np.stack([axis.ravel() for axis in np.meshgrid(*(grid(model, f) for f in pair))], axis=1)
    for row, rival, changes in zip(model.rows, scores.rival, found, strict=True):
        best = shortest_on_grid(model, row, rival, pair, values)
        if changes is not None:
            assert length(model, row, changes) <= 1.5 * SIMPLER * best + 0.05


def test_where_the_ranges_leave_no_room_nothing_is_found():
    model = drawn(1, 3)
    assert any(changes is not None for changes in search(model)[1])
    narrow = model._replace(low=model.scorer.parameters.fill, high=model.scorer.parameters.fill)
    at_the_median = narrow._replace(rows=np.repeat(narrow.low[None], 3, axis=0))
    assert search(at_the_median)[1] == [None] * 3


def test_nobody_can_be_asked_about():
    model = drawn(1, 3, rows=0)
    assert search(model)[1] == []


def toy(**places: tuple[float, ...]) -> Drawn:
    """Segments that differ in the named features only, at these places in log space, and a customer in the first.

    The standardised log space of this model is the log space itself.
    """
    model = drawn(0, 2)
    median = model.scorer.parameters.fill
    centroids = np.repeat(np.log1p(median)[None], len(next(iter(places.values()))), axis=0)
    for name, logs in places.items():
        centroids[:, DISTANCE_NAMES.index(name)] = logs
    scorer = CompiledScorer(Parameters(median, np.zeros_like(median), np.ones_like(median), centroids))
    low = np.array([f.minimum for f in DISTANCE])
    high = np.array([12.0 if f.whole else min(f.maximum, 1e5) for f in DISTANCE])
    return Drawn(scorer, low, high, np.expm1(centroids[:1]))


def only_change(model: Drawn) -> dict[str, float] | None:
    """The change that moves the toy's customer from the first to the second segment."""
    found = CounterfactualSearch(model.scorer, model.low, model.high).find(model.rows, np.array([0]), np.array([1]))
    return found[0] and {DISTANCE_NAMES[f]: value for f, value in found[0].items()}


def test_the_nearest_sound_value_beyond_the_border_is_taken():
    changes = only_change(toy(PAYMENTS=(np.log1p(100), np.log1p(900))))
    border = np.sqrt(101 * 901) - 1  # halfway in log space
    assert set(changes) == {"PAYMENTS"}
    assert border < changes["PAYMENTS"] < border + 0.01


def test_whole_features_stay_whole():
    assert only_change(toy(TENURE=(np.log1p(12), np.log1p(6)))) == {"TENURE": 8.0}  # the border is at 8.5


def test_two_features_share_the_way_when_one_alone_is_much_longer():
    changes = only_change(toy(CREDIT_LIMIT=(4.0, 8.0), PAYMENTS=(4.0, 8.0)))
    assert changes == {
        "CREDIT_LIMIT": pytest.approx(np.expm1(6), abs=0.02),
        "PAYMENTS": pytest.approx(np.expm1(6), abs=0.02),
    }


def test_one_feature_is_enough_when_it_is_hardly_longer():
    assert set(only_change(toy(CREDIT_LIMIT=(4.0, 8.0), PAYMENTS=(4.0, 5.0)))) == {"CREDIT_LIMIT"}


def test_a_third_segment_in_the_way_is_gone_round():
    """It lies on the way by both features and on that by PAYMENTS, but not on that by CREDIT_LIMIT."""
    changes = only_change(toy(CREDIT_LIMIT=(4.0, 8.0, 5.0), PAYMENTS=(4.0, 8.0, 7.0)))
    assert changes == {"CREDIT_LIMIT": pytest.approx(np.expm1(8), abs=0.02)}


def test_a_third_segment_that_covers_the_border_leaves_no_way():
    assert only_change(toy(CREDIT_LIMIT=(4.0, 8.0, 6.1))) is None


def test_a_blank_starts_at_the_median():
    model = toy(CREDIT_LIMIT=(np.log1p(3000), np.log1p(9000)))
    model.scorer.parameters.fill[DISTANCE_NAMES.index("CREDIT_LIMIT")] = 3000
    known = only_change(model)
    model.rows[0, DISTANCE_NAMES.index("CREDIT_LIMIT")] = np.nan
    assert only_change(model) == known == {"CREDIT_LIMIT": pytest.approx(np.sqrt(3001 * 9001) - 1, abs=0.02)}


SHOPPER = {
    "PURCHASES": 500.0,
    "ONEOFF_PURCHASES": 300.0,
    "INSTALLMENTS_PURCHASES": 200.0,
    "PURCHASES_FREQUENCY": 0.5,
    "ONEOFF_PURCHASES_FREQUENCY": 0.25,
    "PURCHASES_INSTALLMENTS_FREQUENCY": 0.25,
    "PURCHASES_TRX": 9.0,
    "CASH_ADVANCE": 0.0,
    "CASH_ADVANCE_FREQUENCY": 0.0,
    "CASH_ADVANCE_TRX": 0.0,
    "TENURE": 12.0,
}
IDLE = dict.fromkeys(SHOPPER, 0.0) | {"TENURE": 12.0}


@pytest.mark.parametrize(
    ("customer", "change", "expected"),
    [
        (IDLE, {"ONEOFF_PURCHASES": 177.0}, {"PURCHASES": 177.0, "ONEOFF_PURCHASES_FREQUENCY": 0.083}),
        (IDLE, {"PURCHASES": 177.0}, {"PURCHASES_TRX": 1.0, "PURCHASES_FREQUENCY": 0.083}),
        (IDLE, {"CASH_ADVANCE": 90.0}, {"CASH_ADVANCE_TRX": 1.0, "CASH_ADVANCE_FREQUENCY": 0.083}),
        (
            IDLE | {"BALANCE": 0.0, "BALANCE_FREQUENCY": 0.0, "CREDIT_LIMIT": 900.0},
            {"BALANCE": 34.39},
            {"BALANCE_FREQUENCY": 0.083},
        ),
        (
            SHOPPER | {"BALANCE": 34.39, "BALANCE_FREQUENCY": 0.5},
            {"BALANCE_FREQUENCY": 0.0},
            {"BALANCE": 0.0},
        ),
        (IDLE | {"TENURE": 6.0}, {"CASH_ADVANCE": 90.0}, {"CASH_ADVANCE_FREQUENCY": 0.167}),
        (SHOPPER, {"PURCHASES": 1000.0}, {"ONEOFF_PURCHASES": 600.0, "INSTALLMENTS_PURCHASES": 400.0}),
        (SHOPPER, {"INSTALLMENTS_PURCHASES": 700.0}, {"PURCHASES": 1000.0, "ONEOFF_PURCHASES": 300.0}),
        (SHOPPER, {"PURCHASES": 1000.0, "ONEOFF_PURCHASES": 900.0}, {"INSTALLMENTS_PURCHASES": 100.0}),
        (SHOPPER, {"PURCHASES_FREQUENCY": 0.1}, {"ONEOFF_PURCHASES_FREQUENCY": 0.1}),
        (SHOPPER, {"ONEOFF_PURCHASES_FREQUENCY": 0.9}, {"PURCHASES_FREQUENCY": 0.9}),
        (SHOPPER, {"ONEOFF_PURCHASES": 0.0}, {"ONEOFF_PURCHASES_FREQUENCY": 0.0, "PURCHASES": 200.0}),
        (SHOPPER, {"PURCHASES_TRX": 0.0}, {"PURCHASES": 0.0, "ONEOFF_PURCHASES": 0.0, "PURCHASES_FREQUENCY": 0.0}),
        (SHOPPER | {"CASH_ADVANCE": 5.0}, {"CASH_ADVANCE_TRX": 0.0}, {}),
    ],
)
def test_what_goes_with_a_change_makes_a_possible_customer(customer, change, expected):
    before = np.ones((1, len(DISTANCE)))
    for name, value in customer.items():
        before[0, DISTANCE_NAMES.index(name)] = value
    moved = before.copy()
    for name, value in change.items():
        moved[0, DISTANCE_NAMES.index(name)] = value
    after = completed(moved, before, np.ones_like(before))
    found = dict(zip(DISTANCE_NAMES, after[0].tolist(), strict=True))
    assert {name: found[name] for name in {**change, **expected}} == {**change, **expected}
    assert oddities(after[0]) <= oddities(before[0])


@given(seed=SEEDS)
def test_what_was_changed_on_purpose_stays_and_nothing_goes_with_nothing(seed):
    model = drawn(seed, 2)
    assert np.array_equal(completed(model.rows, model.rows, model.rows), model.rows, equal_nan=True)
    moved = model.rows.copy()
    place = seed % len(DISTANCE)
    moved[:, place] = np.roll(moved[:, place], 1)
    assert np.array_equal(completed(moved, model.rows, moved)[:, place], moved[:, place], equal_nan=True)


def test_a_way_that_would_make_the_customer_odd_is_not_taken():
    """The balance could rise to the border by itself, but not above the limit."""
    model = toy(BALANCE=(np.log1p(100), np.log1p(90_000)), PAYMENTS=(2.0, 2.5))
    values = SHOPPER | {"BALANCE": 100.0, "CREDIT_LIMIT": 1000.0, "MINIMUM_PAYMENTS": 10.0}
    for name, value in values.items():
        model.rows[0, DISTANCE_NAMES.index(name)] = value
    assert only_change(model) is None
    model.rows[0, DISTANCE_NAMES.index("CREDIT_LIMIT")] = 50_000.0
    assert set(only_change(model)) == {"BALANCE"}
