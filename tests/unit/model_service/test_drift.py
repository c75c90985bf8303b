from __future__ import annotations

import numpy as np
import pytest
from analysed_customers import changed, columns_of, cut, tiny_columns, tiny_predictor
from hypothesis import given, settings
from hypothesis import strategies as st

from model_service.analysis.drift import CHECK_FIRST, MINIMUM_ROWS, UNSEEN, DriftCounter
from model_service.store.errors import ArtefactDamaged, NoEvidence
from shared.features import FEATURES
from shared.model_contract import Drift

NOW = "2030-01-02T03:04:05Z"


@pytest.fixture(scope="module")
def predictor(tiny):
    return tiny_predictor(tiny)


def drift_of(predictor, *blocks) -> Drift:
    counter = DriftCounter(predictor)
    for block in blocks:
        counter.add(block)
    return counter.result(NOW)


def tier_of(drift: Drift, feature: str) -> str:
    return next(f["tier"] for f in drift["features"] if f["feature"] == feature)


def test_like_customers_are_stable(predictor):
    drift = drift_of(predictor, tiny_columns())
    assert drift["verdict"] == "stable"
    assert drift["model_version"] == predictor.version
    assert (drift["rows"], drift["minimum_rows"], drift["as_of"]) == (300, MINIMUM_ROWS, NOW)
    assert {f["feature"] for f in drift["features"]} == {f.name for f in FEATURES}
    assert [f["psi"] for f in drift["features"]] == sorted((f["psi"] for f in drift["features"]), reverse=True)
    mix = drift["segment_mix"]
    assert mix["tier"] == "none"
    assert list(mix["training"].values()) == pytest.approx([1 / 3] * 3, abs=1e-6)
    assert mix["now"] == mix["training"]
    assert drift["distance"]["inflation"] == pytest.approx(1, abs=0.1)
    assert drift["remarks"][-1] == UNSEEN


def test_the_training_customers_themselves_have_not_drifted(predictor, tiny):
    block = columns_of(tiny.data.frame)
    drift = drift_of(predictor, block, block)
    # Twice as many customers, so that the half customer added to each count makes a trace of a difference.
    assert max(f["psi"] for f in drift["features"]) < 1e-4
    assert drift["segment_mix"]["psi"] < 1e-4
    assert drift["distance"]["median"] == pytest.approx(drift["distance"]["training_median"], rel=0.01)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=5), st.randoms(use_true_random=False))
def test_the_split_into_blocks_and_their_order_do_not_matter(predictor, at, random):
    columns = tiny_columns()
    blocks = cut(columns, at)
    random.shuffle(blocks)
    assert drift_of(predictor, *blocks) == drift_of(predictor, columns)


def test_too_few_customers_have_no_verdict(predictor):
    few, enough = (cut(tiny_columns(), [rows])[0] for rows in (MINIMUM_ROWS - 1, MINIMUM_ROWS))
    drift = drift_of(predictor, few)
    assert drift["verdict"] == "not_enough_data"
    assert (drift["rows"], drift["features"], drift["segment_mix"], drift["distance"]) == (199, [], None, None)
    assert drift["remarks"] == [
        "199 customers are too few for a verdict: with fewer than 200, the index mostly reflects chance."
    ]
    assert drift_of(predictor, enough)["verdict"] != "not_enough_data"
    assert drift_of(predictor)["rows"] == 0


def test_another_unit_is_severe_and_named(predictor):
    columns = tiny_columns()
    columns["CREDIT_LIMIT"] *= 10
    drift = drift_of(predictor, columns)
    assert drift["verdict"] == "retrain"
    assert drift["features"][0]["feature"] == "CREDIT_LIMIT"
    assert tier_of(drift, "CREDIT_LIMIT") == "severe"
    assert drift["remarks"][0].startswith("Credit limit: shifted (severe, index ")
    assert CHECK_FIRST in drift["remarks"]


def test_values_that_go_missing_are_drift(predictor):
    columns = tiny_columns()
    columns["MINIMUM_PAYMENTS"][::2] = np.nan
    drift = drift_of(predictor, columns)
    assert tier_of(drift, "MINIMUM_PAYMENTS") == "severe"
    assert "Minimum payments in 12 months: shifted" in drift["remarks"][0]
    assert "missing: " in drift["remarks"][0]


def test_a_derived_feature_is_compared_too(predictor):
    columns = tiny_columns()
    columns["PURCHASES_TRX"] = np.ones(300)
    assert tier_of(drift_of(predictor, columns), "AVERAGE_PURCHASE_TRX") == "severe"


def test_segments_that_grow_are_told(predictor):
    columns = tiny_columns()
    first = {name: values[:100] for name, values in columns.items()}
    drift = drift_of(predictor, columns, first, first)
    mix = drift["segment_mix"]
    assert drift["verdict"] == "retrain"
    assert mix["tier"] == "severe"
    (grown,) = (identity for identity, share in mix["now"].items() if share == 0.6)
    assert sum(mix["now"].values()) == pytest.approx(1)
    assert any(f"{grown} ({mix['names'][grown]}) 33.3% → 60.0%" in remark for remark in drift["remarks"])


def test_customers_far_from_every_segment_are_told(predictor):
    limited = changed(predictor, distance_limit=0.0)
    limited.manifest["evidence"] = {**predictor.manifest["evidence"], "distances": [0.01] * 101}
    drift = drift_of(limited, tiny_columns())
    assert drift["distance"]["beyond_limit"] == 1.0
    assert drift["distance"]["inflation"] == pytest.approx(drift["distance"]["median"] / 0.01, rel=1e-4)
    assert sum("are farther from every segment" in r or "times as far" in r for r in drift["remarks"]) == 2


def test_without_distances_in_training_there_is_no_ratio(predictor):
    alike = changed(predictor, evidence={**predictor.manifest["evidence"], "distances": [0.0] * 101})
    assert drift_of(alike, tiny_columns())["distance"] is None


def test_a_version_without_evidence_cannot_tell(predictor):
    old = changed(predictor)
    del old.manifest["evidence"]
    with pytest.raises(NoEvidence, match=f"{predictor.version} was trained before"):
        DriftCounter(old)


def test_a_feature_that_is_younger_than_the_version_is_named(predictor):
    evidence, younger = predictor.manifest["evidence"], FEATURES[-1].name
    older = {name: histogram for name, histogram in evidence["histograms"].items() if name != younger}
    drift = drift_of(changed(predictor, evidence={**evidence, "histograms": older}), tiny_columns())
    assert younger not in {f["feature"] for f in drift["features"]}
    assert drift["remarks"][-1] == f"Not measured, as the model was trained without them: {FEATURES[-1].called}."


@pytest.mark.parametrize("rubbish", [None, [], {"edges": "x", "counts": [], "missing": 0}, {"edges": [1.0]}])
def test_damaged_evidence_is_told(predictor, rubbish):
    evidence = predictor.manifest["evidence"]
    histograms = {**evidence["histograms"], FEATURES[0].name: rubbish}
    with pytest.raises(ArtefactDamaged, match=predictor.version):
        DriftCounter(changed(predictor, evidence={**evidence, "histograms": histograms}))
