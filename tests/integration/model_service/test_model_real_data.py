"""The public data set: what the clustering study found must come out of the code."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from model_service.pipeline import label_differences
from model_service.predictor import Predictor
from model_service.registry import ModelStore
from model_service.training.dataset import read_csv
from model_service.training.trainer import Options, train, train_version

# Clustering study, section 4: name, share in percent with its 95 % bootstrap interval.
STUDY = {
    "Revolving cash-advance borrowers": (23.7, 25.3),
    "Low-limit better-repaying instalment buyers": (19.0, 20.8),
    "High-limit better-repaying all-round shoppers": (15.7, 17.1),
    "One-off shoppers": (14.3, 15.9),
    "High-limit revolving spend-and-cash users": (14.0, 15.1),
    "Low-balance dormant customers": (8.8, 10.3),
}


@pytest.fixture(scope="module")
def data(real_csv):
    return read_csv(real_csv)


@pytest.fixture(scope="module")
def trained(data):
    return train(data, Options(), None, 1, lambda: None)


@pytest.fixture(scope="module")
def store(tmp_path_factory, trained):
    store = ModelStore(tmp_path_factory.mktemp("real") / "models")
    store.activate(store.save(trained.pipeline, trained.manifest))
    return store


def test_every_row_is_usable(data):
    assert len(data.frame) == data.source["rows"] == 8950
    assert data.source["refused"] == 0
    assert not [note for note in data.notes if note.startswith("line")]


def test_the_rule_picks_six_stable_segments(trained):
    manifest = trained.manifest
    assert manifest["k"] == 6
    assert [s["k"] for s in manifest["scores"]] == list(range(3, 9))
    six = manifest["scores"][3]
    assert six["stability_mean"] >= 0.93
    assert six["smallest_share"] >= 0.09
    assert six["silhouette"] == pytest.approx(0.230, abs=0.002)
    assert six["inertia"] == pytest.approx(70263, rel=1e-3)


def test_names_and_shares_are_those_of_the_study(trained):
    shares = {s["name"]: s["share"] * 100 for s in trained.manifest["segments"]}
    assert list(shares) == list(STUDY), "largest first"
    for name, (low, high) in STUDY.items():
        assert low <= shares[name] <= high
    assert [s["id"] for s in trained.manifest["segments"]] == [f"seg-0{i}" for i in range(1, 7)]


def test_profiles_are_those_of_the_study(trained):
    median = {
        (s["name"].split()[-1], feature): quartiles["median"]
        for s in trained.manifest["segments"]
        for feature, quartiles in s["profile"].items()
    }
    assert median["borrowers", "CASH_ADVANCE"] == pytest.approx(1364, rel=0.02)
    assert median["borrowers", "UTILISATION"] == pytest.approx(0.65, abs=0.01)
    assert median["buyers", "CREDIT_LIMIT"] == pytest.approx(2000, rel=0.02)
    assert median["users", "BALANCE"] == pytest.approx(2624, rel=0.02)
    assert median["customers", "BALANCE"] == pytest.approx(11, abs=1)


def test_confidence_is_as_steep_as_the_study_found(trained):
    calibration = trained.manifest["calibration"]
    assert 15 < calibration["slope"] < 30
    assert abs(calibration["intercept"]) < 0.6
    assert trained.manifest["distance_limit"] == pytest.approx(6.34, abs=0.05)


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
    assert label_differences(trained.pipeline, scorer, rows) == 0
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


def test_a_refit_on_half_of_the_customers_keeps_all_ids(data, store, tmp_path):
    half = data.frame.sample(frac=0.5, random_state=3)
    csv = tmp_path / "half.csv"
    half.to_csv(csv, index=False)
    manifest = train_version(store, read_csv(csv), Options(ks=(6,)), lambda: None)
    assert {s["match"]["status"] for s in manifest["segments"]} == {"kept"}
    assert max(s["match"]["distance"] for s in manifest["segments"]) < 0.6
    assert {s["name"] for s in manifest["segments"]} == set(STUDY)
