from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_service.scoring.pipeline import BLOCK, CompiledScorer, Parameters, label_differences
from model_service.training.fitted import make_pipeline, predict_arrays
from shared.features import DISTANCE, DISTANCE_NAMES

# Two features, identity scaling, centroids at (0, 0), (3, 4) and (10, 0) of log space.
HAND = Parameters(
    fill=np.array([np.expm1(3.0), np.expm1(4.0)]),
    mean=np.zeros(2),
    scale=np.ones(2),
    centroids=np.array([[0.0, 0.0], [3.0, 4.0], [10.0, 0.0]]),
)


def test_a_row_on_the_first_centroid_is_5_away_from_the_second():
    score = CompiledScorer(HAND).score_one(np.zeros(2))
    assert (score.nearest, score.rival, score.distance) == (0, 1, 0.0)
    assert score.margin == pytest.approx(5.0)


def test_missing_values_are_replaced_by_the_fill():
    scorer = CompiledScorer(HAND)
    row = np.array([np.nan, np.nan])
    assert scorer.score_one(row).nearest == 1
    assert scorer.score_one(row).distance == pytest.approx(0.0, abs=1e-7)
    assert scorer.score(row[None, :]).nearest.tolist() == [1]
    assert np.isnan(row).all(), "the caller's row is left alone"


def test_two_equally_near_centroids_are_both_found():
    scorer = CompiledScorer(Parameters(np.zeros(1), np.zeros(1), np.ones(1), np.array([[1.0], [1.0], [5.0]])))
    assert scorer.score_one(np.array([0.0]))[:2] == (0, 1)
    assert scorer.score_one(np.array([0.0])).margin == 0.0


def test_blocks_are_put_together_in_order():
    rows = np.expm1(np.tile([[0.0, 0.0], [3.0, 4.0], [10.0, 0.0]], (BLOCK, 1)))
    scores = CompiledScorer(HAND).score(rows)
    assert scores.nearest.tolist() == [0, 1, 2] * BLOCK
    assert all(len(part) == len(rows) for part in scores)


def test_standardise_is_affine_in_log_space():
    parameters = Parameters(np.zeros(1), np.array([1.0]), np.array([2.0]), np.array([[0.5], [1.5]]))
    assert parameters.standardise(np.array([[np.expm1(5.0)]])).tolist() == [[pytest.approx(2.0)]]
    assert parameters.log_centroids().tolist() == [[2.0], [4.0]]


def test_the_digest_belongs_to_the_parameters():
    changed = Parameters(HAND.fill, HAND.mean, HAND.scale, HAND.centroids + 1e-6)
    rounding = Parameters(HAND.fill, HAND.mean, HAND.scale, HAND.centroids * (1 + 1e-15))
    assert HAND.digest() != changed.digest()
    assert HAND.digest() == rounding.digest()


@pytest.fixture(scope="module")
def fitted(tiny):
    rows = tiny.data.distance
    pipeline = make_pipeline(3, seed=1).fit(rows)
    return pipeline, CompiledScorer(Parameters.of(pipeline)), rows


def test_the_pipeline_knows_its_features_by_name(fitted):
    pipeline, _, _ = fitted
    assert pipeline.feature_names_in_.tolist() == list(DISTANCE_NAMES)
    assert pipeline[:-1].get_feature_names_out().tolist() == list(DISTANCE_NAMES)


def test_arrays_and_named_columns_get_the_same_labels(fitted):
    pipeline, scorer, rows = fitted
    assert predict_arrays(pipeline, rows.to_numpy()).tolist() == pipeline.predict(rows).tolist()
    assert scorer.score(rows.to_numpy()).nearest.tolist() == pipeline.predict(rows).tolist()


def test_distances_are_those_of_scikit_learn(fitted):
    pipeline, scorer, rows = fitted
    expected = np.sort(pipeline.transform(rows), axis=1)
    scores = scorer.score(rows.to_numpy())
    np.testing.assert_allclose(scores.distance, expected[:, 0], atol=1e-9)
    np.testing.assert_allclose(scores.distance + scores.margin, expected[:, 1], atol=1e-9)


def test_a_wrongly_compiled_scorer_is_found_out(fitted):
    pipeline, scorer, rows = fitted
    good = scorer.parameters
    wrong = CompiledScorer(Parameters(good.fill, good.mean, good.scale, good.centroids[::-1].copy()))
    expected = predict_arrays(pipeline, rows.to_numpy())
    assert label_differences(expected, scorer, rows.to_numpy()) == 0
    assert label_differences(expected, wrong, rows.to_numpy()) > 0


cells = st.tuples(
    *(
        st.floats(f.minimum + (0.01 if f.exclusive_minimum else 0), min(f.maximum, 1e7))
        | (st.just(float("nan")) if f.nullable else st.nothing())
        for f in DISTANCE
    )
)


@given(st.lists(cells, min_size=1, max_size=5))
def test_any_allowed_rows_get_the_pipelines_labels(fitted, rows):
    pipeline, scorer, _ = fitted
    array = np.array(rows, dtype=np.float64)
    assert label_differences(predict_arrays(pipeline, array), scorer, array) == 0
