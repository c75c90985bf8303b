"""Drift and preview on the public data: what docs/clustering-study.md, section 7, reports must come out."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pandas as pd
import pytest

from model_service.analysis.drift import UNSEEN, DriftCounter
from model_service.analysis.preview import PreviewCounter
from model_service.scoring.pipeline import CompiledScorer, Parameters
from model_service.scoring.predictor import Predictor
from model_service.store.artefact import LoadedModel
from model_service.training.evidence import histograms
from model_service.training.parallel import NoProgress
from model_service.training.trainer import Options, train
from shared.features import BY_NAME, FEATURES, INPUT_NAMES, Kind

NOW = "2030-01-02T03:04:05Z"
MONEY = [f.name for f in FEATURES if f.kind is Kind.AMOUNT and f.derive is None]
MONEY_SPENT = [name for name in MONEY if "PURCHASES" in name]


@pytest.fixture(scope="module")
def data(real_data):
    return real_data


@pytest.fixture(scope="module")
def predictor(real_trained):
    return Predictor(LoadedModel(real_trained.manifest, CompiledScorer(Parameters.of(real_trained.pipeline))))


@pytest.fixture(scope="module")
def clusters(data, predictor):
    return np.array(predictor.score_columns(data.distance.to_numpy())["cluster"])


def drift_of(predictor, frame):
    counter = DriftCounter(predictor)
    counter.add({name: frame[name].to_numpy() for name in INPUT_NAMES})
    return counter.result(NOW)


def tiers(drift):
    return {f["feature"]: f["tier"] for f in drift["features"]}


def index(drift, feature):
    return next(f["psi"] for f in drift["features"] if f["feature"] == feature)


def trained_on(predictor, frame, clusters):
    """The same model, as if these customers of it were those it had been trained on."""
    manifest = copy.deepcopy(predictor.manifest)
    manifest["evidence"]["histograms"] = histograms(frame)
    sizes = np.bincount(clusters, minlength=manifest["k"])
    for segment in manifest["segments"]:
        segment["size"] = int(sizes[segment["cluster"]])
    return Predictor(LoadedModel(manifest, predictor.model.scorer))


def test_the_training_customers_have_not_drifted(data, predictor):
    drift = drift_of(predictor, data.frame)
    assert drift["verdict"] == "stable"
    assert max(f["psi"] for f in drift["features"]) == drift["segment_mix"]["psi"] == 0
    assert drift["distance"]["inflation"] == pytest.approx(1, abs=1e-3)
    assert drift["distance"]["beyond_limit"] == pytest.approx(0.001, abs=2e-4)


def test_random_halves_hardly_ever_alarm(data, predictor, clusters):
    generator = np.random.default_rng(0)
    alarms = mixes = 0
    largest, draws = [], 60
    for _ in range(draws):
        order = generator.permutation(len(data.frame))
        first, second = order[:4475], order[4475:]
        drift = drift_of(trained_on(predictor, data.frame.iloc[first], clusters[first]), data.frame.iloc[second])
        assert drift["verdict"] == "stable"
        alarms += any(tier != "none" for tier in tiers(drift).values())
        mixes += drift["segment_mix"]["tier"] != "none"
        largest.append(drift["features"][0]["psi"])
    assert alarms <= 0.1 * draws
    assert mixes <= 0.05 * draws
    assert np.quantile(largest, 0.95) == pytest.approx(0.0101, abs=0.002), "as reported, over 300 draws"


@pytest.mark.parametrize(("rows", "most"), [(200, 0.12), (500, 0.08), (1_000, 0.08)])
def test_samples_hardly_ever_alarm(data, predictor, rows, most):
    drifts = [drift_of(predictor, data.frame.sample(rows, random_state=seed)) for seed in range(60)]
    alarms = [any(tier != "none" for tier in tiers(d).values()) or d["segment_mix"]["tier"] != "none" for d in drifts]
    assert np.mean(alarms) <= most


def test_a_fifth_more_cash_for_a_third_is_invisible_and_the_remarks_say_so(data, predictor):
    frame = data.frame.copy()
    some = np.random.default_rng(0).random(len(frame)) < 0.3
    frame.loc[some, "CASH_ADVANCE"] *= 1.2
    drift = drift_of(predictor, frame)
    assert drift["verdict"] == "stable"
    assert set(tiers(drift).values()) == {"none"}
    assert index(drift, "CASH_ADVANCE") < 0.002
    assert drift["segment_mix"]["psi"] < 0.001
    assert drift["remarks"][-1] == UNSEEN


@pytest.mark.parametrize(
    ("feature", "factor"), [("CREDIT_LIMIT", 10), ("BALANCE", 0.01), ("BALANCE_FREQUENCY", 0.01), ("PAYMENTS", 100)]
)
def test_another_unit_is_severe(data, predictor, feature, factor):
    drift = drift_of(predictor, data.frame.assign(**{feature: data.frame[feature] * factor}))
    assert drift["verdict"] == "retrain"
    assert tiers(drift)[feature] == "severe"
    assert drift["features"][0]["feature"] == feature
    assert drift["remarks"][0].startswith(f"{BY_NAME[feature].label}: shifted (severe")
    assert drift["distance"]["inflation"] > 1.1


def test_half_the_purchases_are_severe_and_a_fifth_less_is_not(data, predictor):
    fewer = drift_of(predictor, _times(data.frame, MONEY_SPENT, 0.8))
    assert fewer["verdict"] == "stable"
    assert tiers(fewer)["PURCHASES"] == "detected"
    half = drift_of(predictor, _times(data.frame, MONEY_SPENT, 0.5))
    assert tiers(half)["AVERAGE_PURCHASE_TRX"] == "severe"
    assert half["segment_mix"]["psi"] < 0.02, "few change their segment"


def test_a_tenth_more_of_all_money_is_detected(data, predictor):
    drift = drift_of(predictor, _times(data.frame, MONEY, 1.1))
    assert {"detected", "material"} & set(tiers(drift).values())
    assert drift["verdict"] != "retrain"


def _times(frame, names, factor):
    return frame.assign(**{name: frame[name] * factor for name in names})


@pytest.mark.parametrize("rows", [1_000, 4_000])
def test_twice_as_many_cash_advance_borrowers_are_a_material_mix(data, predictor, clusters, rows):
    (segment,) = (s for s in predictor.manifest["segments"] if "cash-advance" in s["name"])
    doubled = pd.concat([data.frame, data.frame[clusters == segment["cluster"]]])
    for seed in range(10):
        drift = drift_of(predictor, doubled.sample(rows, random_state=seed))
        assert drift["segment_mix"]["tier"] in ("material", "severe")
        assert drift["segment_mix"]["psi"] == pytest.approx(0.1, abs=0.06)
        assert drift["verdict"] == "retrain"
        assert any(segment["id"] in remark for remark in drift["remarks"])


def test_minimum_payments_that_go_missing_are_severe(data, predictor):
    frame = data.frame.copy()
    frame.loc[np.random.default_rng(0).random(len(frame)) < 0.16, "MINIMUM_PAYMENTS"] = np.nan
    drift = drift_of(predictor, frame)
    assert tiers(drift)["MINIMUM_PAYMENTS"] == "severe"
    assert "missing: " in drift["remarks"][0]


def test_a_refit_on_half_moves_few_and_only_borderline_customers(data, predictor):
    half = dataclasses.replace(
        data, frame=data.frame.sample(frac=0.5, random_state=3).reset_index(drop=True), lines=None
    )
    trained = train(half, Options(ks=(6,)), predictor.manifest, 7, NoProgress())
    trained.manifest["version"] = "candidate"
    counter = PreviewCounter(
        predictor, Predictor(LoadedModel(trained.manifest, CompiledScorer(Parameters.of(trained.pipeline))))
    )
    counter.add({name: data.frame[name].to_numpy() for name in INPUT_NAMES})
    preview = counter.result(NOW)
    assert {s["status"] for s in [*preview["before"], *preview["after"]]} == {"kept"}
    assert 0 < preview["moved"]["share"] < 0.03
    transitions = pd.DataFrame(
        preview["transitions"],
        index=[s["id"] for s in preview["before"]],
        columns=[s["id"] for s in preview["after"]],
    )
    assert transitions.to_numpy().sum() == preview["rows"] == 8950
    assert sum(transitions.loc[i, i] for i in transitions.index) == 8950 - preview["moved"]["customers"]
    sure = [m for m in preview["customers"] if min(m["confidence_before"], m["confidence_after"]) >= 0.9]
    assert not sure
