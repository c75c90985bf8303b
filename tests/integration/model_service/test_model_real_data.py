"""The public data set: what docs/clustering-study.md reports must come out of the code."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from model_service.scoring.pipeline import CompiledScorer, Parameters, label_differences
from model_service.scoring.predictor import Predictor
from model_service.store.registry import ModelStore
from model_service.training.calibration import confidence, kept, reliability
from model_service.training.dataset import read_customers
from model_service.training.fitted import predict_arrays, save
from model_service.training.parallel import NoProgress
from model_service.training.trainer import Options, train, train_version
from shared.features import DERIVED, FEATURES
from tests.benchmarks.quality import retrain_on_halves

# docs/clustering-study.md, section 4: share in percent with its 95 % bootstrap interval, then medians.
STUDY = {
    "Revolving cash-advance borrowers": (23.7, 25.3),
    "Low-limit better-repaying instalment buyers": (19.0, 20.8),
    "High-limit better-repaying all-round shoppers": (15.7, 17.1),
    "One-off shoppers": (14.3, 15.9),
    "High-limit revolving spend-and-cash users": (14.0, 15.1),
    "Low-balance dormant customers": (8.8, 10.3),
}
SEGMENTS = ("customers", "one-off", "users", "borrowers", "buyers", "all-round")
"""The study's columns: dormant, one-off, spend-and-cash, cash, instalment, all-round."""
MEDIANS = {
    "BALANCE": (11, 822, 2624, 1594, 93, 739),
    "BALANCE_FREQUENCY": (0.27, 1, 1, 1, 1, 1),
    "PURCHASES": (112, 452, 840, 0, 442, 2315),
    "PURCHASES_FREQUENCY": (0.17, 0.27, 0.75, 0, 0.92, 1),
    "ONEOFF_PURCHASES": (0, 402, 375, 0, 0, 1296),
    "ONEOFF_PURCHASES_FREQUENCY": (0, 0.20, 0.22, 0, 0, 0.67),
    "INSTALLMENTS_PURCHASES": (9, 0, 310, 0, 417, 740),
    "PURCHASES_INSTALLMENTS_FREQUENCY": (0.08, 0, 0.50, 0, 0.83, 0.75),
    "CASH_ADVANCE": (0, 0, 1860, 1364, 0, 0),
    "CASH_ADVANCE_FREQUENCY": (0, 0, 0.33, 0.25, 0, 0),
    "CASH_ADVANCE_TRX": (0, 0, 7, 4, 0, 0),
    "PURCHASES_TRX": (2, 5, 13, 0, 12, 33),
    "AVERAGE_PURCHASE_TRX": (37, 79, 56, 0, 36, 65),
    "CREDIT_LIMIT": (2550, 2600, 5000, 3000, 2000, 6200),
    "UTILISATION": (0.00, 0.32, 0.63, 0.65, 0.04, 0.16),
    "PAYMENTS": (234, 608, 1698, 810, 517, 2024),
    "MINIMUM_PAYMENTS": (84, 282, 1003, 523, 170, 242),
    "PRC_FULL_PAYMENT": (0, 0, 0, 0, 0.17, 0.08),
    "TENURE": (12, 12, 12, 12, 12, 12),
}
HALVES = 40
FRESH_REFITS = 40


@pytest.fixture(scope="module")
def data(real_data):
    return real_data


@pytest.fixture(scope="module")
def trained(real_trained):
    return real_trained


@pytest.fixture(scope="module")
def evidence(trained):
    return trained.manifest["evidence"]


@pytest.fixture(scope="module")
def store(tmp_path_factory, trained):
    store = ModelStore(tmp_path_factory.mktemp("real") / "models")
    store.activate(save(store, trained.pipeline, trained.manifest))
    return store


def test_every_row_is_usable(data):
    assert len(data.frame) == data.source["rows"] == 8950
    assert data.source["refused"] == 0
    assert not [note for note in data.notes if note.startswith("line")]
    assert data.lines.tolist() == list(range(2, 8952))


def test_the_rule_picks_six_stable_segments(trained):
    manifest = trained.manifest
    assert manifest["k"] == 6
    assert [s["k"] for s in manifest["scores"]] == list(range(3, 9))
    six = manifest["scores"][3]
    assert six["stability_mean"] >= 0.93
    assert six["smallest_share"] >= 0.09
    assert six["silhouette"] == pytest.approx(0.230, abs=0.002)
    assert six["inertia"] == pytest.approx(70263, rel=1e-3)


def test_what_speaks_against_six_is_said(evidence):
    text = "\n".join(evidence["remarks"])
    assert "cuts through a continuum" in text
    assert "k = 7 narrowly misses the rule: stability 0.84" in text
    assert "Calinski-Harabasz disagrees" in text
    assert ("no elbow" in text) == (evidence["elbow"]["k"] is None)


def test_names_and_shares_are_those_of_the_study(trained):
    shares = {s["name"]: s["share"] * 100 for s in trained.manifest["segments"]}
    assert list(shares) == list(STUDY), "largest first"
    for name, (low, high) in STUDY.items():
        assert low <= shares[name] <= high
    assert [s["id"] for s in trained.manifest["segments"]] == [f"seg-0{i}" for i in range(1, 7)]


@pytest.mark.parametrize("feature", MEDIANS)
def test_profiles_are_those_of_the_study(trained, feature):
    segments = {word: s for s in trained.manifest["segments"] for word in SEGMENTS if word in s["name"].lower()}
    found = [segments[word]["profile"][feature]["median"] for word in SEGMENTS]
    assert found == pytest.approx(MEDIANS[feature], rel=0.02, abs=1.0 if max(MEDIANS[feature]) > 12 else 0.02)


def test_confidence_is_as_steep_as_the_study_found(trained):
    calibration = trained.manifest["calibration"]
    assert 15 < calibration["slope"] < 30
    assert abs(calibration["intercept"]) < 0.6
    assert trained.manifest["distance_limit"] == pytest.approx(6.34, abs=0.05)


def test_confidence_is_calibrated_on_held_out_refits(evidence):
    table = evidence["reliability"]
    assert sum(b["customers"] for b in table) == 8950
    assert all(abs(b["predicted"] - b["observed"]) <= 0.03 for b in table)
    assert evidence["calibration_error"] <= 0.03


def test_confidence_is_calibrated_in_every_decile_of_fresh_refits(data, trained):
    rows, scorer = data.distance, CompiledScorer(Parameters.of(trained.pipeline))
    scores = scorer.score(rows.to_numpy())
    generator = np.random.default_rng(20240517)
    samples = [generator.integers(0, len(rows), len(rows)) for _ in range(FRESH_REFITS)]
    observed = np.mean([kept(rows, sample, rows, scorer, scores.nearest, 1) for sample in samples], axis=0)
    numbers = trained.manifest["calibration"]
    predicted = confidence(numbers["intercept"], numbers["slope"], scores.margin)
    for decile in np.array_split(np.argsort(predicted, kind="stable"), 10):
        assert predicted[decile].mean() == pytest.approx(observed[decile].mean(), abs=0.03)
    assert max(abs(b["predicted"] - b["observed"]) for b in reliability(predicted, observed)) <= 0.05


def test_the_rule_sheet_is_short_and_true(data, trained, evidence):
    assert evidence["fidelity"] >= 0.85
    for segment in trained.manifest["segments"]:
        rules = evidence["segments"][segment["id"]]["rules"]
        assert 1 <= len(rules) <= 3
        assert len(rules[0]["conditions"]) <= 4
        assert rules[0]["precision"] >= 0.7
        assert rules[0]["coverage"] >= 0.7


def test_members_are_named_by_their_line_and_not_by_their_id(data, evidence):
    for shown in evidence["segments"].values():
        for member in (*shown["typical"], *shown["borderline"]):
            assert list(member["values"]) == [f.name for f in FEATURES]
            assert member["values"]["BALANCE"] == data.frame["BALANCE"][member["line"] - 2]
        assert all(m["confidence"] > 0.99 for m in shown["typical"])
        assert all(m["confidence"] < 0.6 for m in shown["borderline"])


def test_the_plain_rule_is_worse_but_not_by_far(evidence):
    baseline = evidence["baseline"]
    assert baseline["cells"] == 8
    assert baseline["agreement"] == pytest.approx(0.54, abs=0.01)
    assert 0.05 < baseline["eta2_model"] - baseline["eta2_rule"] < 0.09


def test_histograms_cover_every_customer(data, evidence):
    found = evidence["histograms"]
    assert {f.name for f in DERIVED} <= set(found)
    assert all(sum(h["counts"]) + h["missing"] == 8950 for h in found.values())
    assert (found["MINIMUM_PAYMENTS"]["missing"], found["CREDIT_LIMIT"]["missing"]) == (313, 1)
    assert [len(found[name]["counts"]) for name in ("BALANCE", "TENURE")] == [10, 3]


@pytest.mark.usefixtures("few_refits")
def test_retraining_gives_the_same_digest(data, trained, store):
    again = train(data, Options(ks=(6,)), None, 1, NoProgress())
    assert Parameters.of(again.pipeline).digest() == store.manifest(store.versions()[0])["model_digest"]
    assert again.manifest["segments"] == trained.manifest["segments"]


def test_labels_are_those_of_a_plain_scikit_learn_fit(data, trained):
    plain = Pipeline(
        [
            ("impute", SimpleImputer(strategy="median")),
            ("log", FunctionTransformer(np.log1p)),
            ("scale", StandardScaler()),
            ("cluster", KMeans(6, n_init=10, random_state=0)),
        ]
    ).fit(data.distance)
    assert trained.pipeline.predict(data.distance).tolist() == plain.predict(data.distance).tolist()


def test_the_compiled_scorer_equals_the_pipeline_on_every_row(data, trained, store):
    scorer = store.load(store.versions()[0]).scorer
    rows = data.distance.to_numpy()
    assert label_differences(predict_arrays(trained.pipeline, rows), scorer, rows) == 0
    assert scorer.score(rows).nearest.tolist() == trained.pipeline.predict(data.distance).tolist()
    expected = np.sort(trained.pipeline.transform(data.distance), axis=1)
    scores = scorer.score(rows)
    np.testing.assert_allclose(scores.distance, expected[:, 0], atol=1e-9)
    np.testing.assert_allclose(scores.distance + scores.margin, expected[:, 1], atol=1e-9)


def test_four_percent_are_borderline_and_one_percent_unusual(data, store):
    predictions = Predictor(store.load(store.versions()[0])).predict_batch(data.distance.to_numpy())
    borderline = np.mean([p["borderline"] for p in predictions])
    warned = sum(bool(p["warnings"]) for p in predictions)
    far = sum(w["code"] == "far_from_all_segments" for p in predictions for w in p["warnings"])
    imputed = sum(bool(p["imputed"]) for p in predictions)
    assert 0.03 < borderline < 0.05
    assert 60 <= warned <= 120
    assert far == 9
    assert imputed == 314


def test_refits_on_random_halves_keep_all_ids(data, trained):
    found = retrain_on_halves(data.distance, trained.manifest, HALVES)
    assert [half.kept for half in found] == [6] * HALVES
    assert np.mean([half.agreement for half in found]) >= 0.97
    assert max(half.distance for half in found) < 0.6


@pytest.mark.usefixtures("few_refits")
def test_a_training_on_half_of_the_customers_keeps_ids_and_names(data, store, tmp_path):
    half = data.frame.sample(frac=0.5, random_state=3)
    csv = tmp_path / "half.csv"
    half.to_csv(csv, index=False)
    manifest = train_version(store, read_customers(csv), Options(ks=(6,)), NoProgress())
    assert {s["match"]["status"] for s in manifest["segments"]} == {"kept"}
    assert {s["name"] for s in manifest["segments"]} == set(STUDY)
