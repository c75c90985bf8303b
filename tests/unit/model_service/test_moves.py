"""Why a customer moved: the change of the gap, split over the features that changed."""

from __future__ import annotations

import numpy as np
import pytest
from asgi_client import assert_problem
from hypothesis import given
from hypothesis import strategies as st
from plausible_models import drawn
from test_explanation import CASE, toy

from model_service.scoring.feature_space import FeatureSpace
from model_service.scoring.move import MoveExplainer
from model_service.scoring.predictor import Predictor
from model_service.store.registry import ModelStore
from shared.contract import EXPLAIN_MOVE, PREDICT, MoveContribution, MoveExplanation, SegmentRef
from shared.features import BY_NAME, DISTANCE_NAMES, FEATURES

SEGMENTS = SegmentRef(id="seg-01", name="Old"), SegmentRef(id="seg-02", name="New")


def explained(scorer, clusters, changes, currency=""):
    return MoveExplainer(scorer, FeatureSpace.of(DISTANCE_NAMES), currency).explain("v", SEGMENTS, clusters, changes)


def changes_of(before, after):
    """The features in which two rows differ."""
    values = zip(DISTANCE_NAMES, before.tolist(), after.tolist(), strict=True)
    pairs = {name: [None if v != v else v for v in pair] for name, *pair in values}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(2, 6), kept=st.sets(st.integers(0, len(DISTANCE_NAMES) - 1)))
def test_the_contributions_sum_to_the_change_of_the_gap(seed, k, kept):
    """The plain formula of the pipeline over whole rows, against the split that knows only what changed."""
    model = drawn(seed, k, rows=2)
    before, after = model.rows
    after[list(kept)] = before[list(kept)]
    origin, destination = np.random.default_rng(seed).permutation(k)[:2].tolist()
    squares = np.sum(
        (model.scorer.parameters.standardise(model.rows)[:, None] - model.scorer.parameters.centroids) ** 2, 2
    )
    gaps = squares[:, origin] - squares[:, destination]
    found = explained(model.scorer, (origin, destination), changes_of(before, after))
    parts = [c["contribution"] for c in found["contributions"]]
    assert sum(parts) == found["change"] == pytest.approx(gaps[1] - gaps[0], abs=1e-9)
    assert np.abs(parts).tolist() == sorted(np.abs(parts), reverse=True)
    assert sum(c["share"] for c in found["contributions"]) == pytest.approx(1 if any(parts) else 0)
    for text in (found["sentence"], *(c["sentence"] for c in found["contributions"])):
        assert text.endswith(".")
        assert "nan" not in text
        assert "{" not in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"CREDIT_LIMIT": [3000, 1000], "PURCHASES_FREQUENCY": [0.0, 0.25], "PAYMENTS": [20, 18.5]},
            "Moved from Old to New, mainly because the credit limit is 1,000 instead of 3,000 and there are purchases "
            "in 25% instead of 0% of months.",
        ),
        (
            {"CREDIT_LIMIT": [3000, 1000], "TENURE": [6, 9]},
            "Moved from Old to New, mainly because the credit limit is 1,000 instead of 3,000; on the other hand, the "
            "time as a customer is 9 months instead of 6 months.",
        ),
        (
            {"CREDIT_LIMIT": [None, 1000]},
            "Moved from Old to New, mainly because the credit limit is 1,000 instead of unknown (taken as 3,000).",
        ),
        (
            {"PURCHASES_FREQUENCY": [0.25, 0.2500000001]},
            "Moved from Old to New, mainly because there are purchases in 25.00000001% instead of 25% of months.",
        ),
        (
            {"CREDIT_LIMIT": [1000, 3000]},
            "What changed speaks for Old rather than New and does not explain the move: the credit limit is 3,000 "
            "instead of 1,000.",
        ),
        ({"CREDIT_LIMIT": [None, 3000]}, "Nothing that changed makes a difference between Old and New."),
        ({"AVERAGE_PURCHASE_TRX": [1.5, 2]}, "Nothing that changed makes a difference between Old and New."),
    ],
)
def test_the_sentence_says_what_moved_the_customer_in_its_own_units(changes, sentence):
    assert explained(toy(*CASE, {}).scorer, (0, 1), changes)["sentence"] == sentence


def test_a_move_is_told_in_the_currency_of_the_bank():
    found = explained(toy(*CASE, {}).scorer, (0, 1), {"CREDIT_LIMIT": [3000, 1000], "PAYMENTS": [20, 18.5]}, "EUR")
    assert "the credit limit is €1,000 instead of €3,000" in found["sentence"]
    assert "Payments in 12 months come to €18.50 instead of €20." in [c["sentence"] for c in found["contributions"]]


@pytest.fixture
def move(tiny):
    """A move that happens in the tiny model: every feature changes from one kind of customer to another."""
    predictor = Predictor(ModelStore(tiny.store).load(ModelStore(tiny.store).versions()[0]))
    old, new = tiny.customer(1), tiny.customer(70)
    segments = [
        predictor.predict_one(np.array([np.nan if c[n] is None else c[n] for n in DISTANCE_NAMES]))["segment"]["id"]
        for c in (old, new)
    ]
    return {"from": segments[0], "to": segments[1], "changes": {name: [old[name], new[name]] for name in old}}


def test_a_move_is_explained_over_http_as_the_predictions_say(client, tiny, move):
    gaps = []
    answer = client.post(EXPLAIN_MOVE, move).json()
    for row in (1, 70):
        prediction = client.post(f"{PREDICT}?explain=true", tiny.customer(row)).json()
        gap = prediction["explanation"]["gap"]
        gaps.append((prediction["segment"]["id"], prediction["rival"]["id"], gap))
    assert set(answer) == set(MoveExplanation.__annotations__)
    assert answer["model_version"] == ModelStore(tiny.store).versions()[0]
    assert answer["change"] == pytest.approx(sum(c["contribution"] for c in answer["contributions"]), abs=1e-9)
    assert answer["change"] >= max(gap for *_, gap in gaps), "it was clearly in the one, and is clearly in the other"
    for contribution in answer["contributions"]:
        assert set(contribution) == set(MoveContribution.__annotations__) - {"left_out"}
        assert [contribution["before"], contribution["after"]] == move["changes"][contribution["feature"]]
        assert contribution["unit"] == BY_NAME[contribution["feature"]].unit
    again = client.post(EXPLAIN_MOVE, move | {"version": answer["model_version"]}).json()
    assert again == answer == client.post(EXPLAIN_MOVE, move | {"version": "active"}).json()


def test_any_feature_may_have_been_missing_before(client, move):
    answer = client.post(EXPLAIN_MOVE, move | {"changes": {f.name: [None, 1] for f in FEATURES}}).json()
    assert {c["feature"] for c in answer["contributions"] if c["before"] is None} == {f.name for f in FEATURES}


REFUSED = [
    ({"changes": {}}, ["/changes"]),
    ({"changes": None}, ["/changes"]),
    ({"changes": {"AGE": [1, 2]}}, ["/changes/AGE"]),
    ({"changes": {"BALANCE": [1]}}, ["/changes/BALANCE"]),
    ({"changes": {"BALANCE": [1, 2, 3]}}, ["/changes/BALANCE"]),
    ({"changes": {"BALANCE": None}}, ["/changes/BALANCE"]),
    ({"changes": {"BALANCE": [-1, 2], "TENURE": [1, 2.5]}}, ["/changes/BALANCE/0", "/changes/TENURE/1"]),
    ({"changes": {"BALANCE": ["1", True]}}, ["/changes/BALANCE/0", "/changes/BALANCE/1"]),
    ({"version": 1}, ["/version"]),
    ({"to": None}, ["/to"]),
    ({"since": "x"}, ["/since"]),
]


def test_other_values_are_refused(client, move):
    for wrong, pointers in REFUSED:
        assert_problem(client.post(EXPLAIN_MOVE, move | wrong), 422, "validation_failed", pointers)


def test_what_is_not_there_cannot_explain(client, connect, move):
    assert_problem(client.post(EXPLAIN_MOVE, move | {"to": move["from"]}), 422, "validation_failed", ["/to"])
    for version in ("20000101T000000Z-00000000", "../models", ""):
        assert_problem(client.post(EXPLAIN_MOVE, move | {"version": version}), 404, "version_not_found")
    for place in ("from", "to"):
        body = assert_problem(client.post(EXPLAIN_MOVE, move | {place: "seg-99"}), 404, "segment_not_found")
        assert "'seg-99'" in body["detail"]
    assert_problem(connect().post(EXPLAIN_MOVE, move), 503, "model_not_loaded")
    assert_problem(client.post(f"{EXPLAIN_MOVE}?explain=true", move), 422, "validation_failed", ["?explain"])
