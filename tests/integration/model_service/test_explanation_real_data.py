"""Reasons and changes for all customers of the public data set."""

from __future__ import annotations

import csv
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from model_service.scoring.counterfactual import CounterfactualSearch
from model_service.scoring.explanation import Explainer
from model_service.scoring.pipeline import CompiledScorer, Parameters, Scores
from model_service.training.dataset import read_customers
from model_service.training.fitted import make_pipeline
from shared.features import CUST_ID, DISTANCE, DISTANCE_NAMES, complete
from shared.findings import findings


class Base(NamedTuple):
    """All customers, explained by a model of six segments."""

    rows: np.ndarray
    low: np.ndarray
    high: np.ndarray
    distances: np.ndarray
    scorer: CompiledScorer
    scores: Scores
    explanations: list


@pytest.fixture(scope="module")
def base(real_csv):
    frame: pd.DataFrame = read_customers(real_csv).distance
    pipeline = make_pipeline(6, seed=0).fit(frame)
    rows, scorer = frame.to_numpy(), CompiledScorer(Parameters.of(pipeline))
    low, high = np.nanquantile(rows, [0.001, 0.999], axis=0)
    scores = scorer.score(rows)
    predictions = [{"segment": {"name": "One"}, "rival": {"name": "Other"}, "borderline": False}] * len(rows)
    explanations = Explainer(scorer, low, high).explain(rows, scores.nearest, scores.rival, predictions)
    return Base(rows, low, high, np.sort(pipeline.transform(frame), axis=1), scorer, scores, explanations)


def test_contributions_sum_to_the_gap_of_scikit_learn_s_distances_for_every_customer(base):
    assert len(base.rows) == 8950
    nearest, rival = base.distances[:, :2].T
    sums = [sum(c["contribution"] for c in e["contributions"]) for e in base.explanations]
    np.testing.assert_allclose(sums, rival**2 - nearest**2, rtol=0, atol=1e-9)
    np.testing.assert_allclose([e["gap"] for e in base.explanations], sums, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("cust_id", "gap", "largest"),
    [
        (
            "C18579",
            8.65,
            {"CREDIT_LIMIT": 3.51, "ONEOFF_PURCHASES_FREQUENCY": 2.61, "ONEOFF_PURCHASES": -1.94, "PAYMENTS": 1.66},
        ),
        (
            "C13575",
            0.39,
            {"PURCHASES": 1.01, "ONEOFF_PURCHASES": 1.00, "CASH_ADVANCE_FREQUENCY": 0.98, "CASH_ADVANCE_TRX": 0.86},
        ),
    ],
)
def test_the_examples_of_the_study_come_out(base, real_csv, cust_id, gap, largest):
    """docs/clustering-study.md, section 5."""
    with real_csv.open() as file:
        place = [row[CUST_ID] for row in csv.DictReader(file)].index(cust_id)
    explanation = base.explanations[place]
    assert explanation["gap"] == pytest.approx(gap, abs=0.02)
    found = {c["feature"]: c["contribution"] for c in explanation["contributions"][: len(largest)]}
    assert found == pytest.approx(largest, abs=0.02)


def test_nearly_all_customers_have_reasons_of_both_signs(base):
    signs = [{np.sign(c["contribution"]) for c in e["contributions"]} for e in base.explanations]
    assert np.mean([{-1.0, 1.0} <= s for s in signs]) > 0.99


def test_every_change_leads_to_the_rival_inside_the_training_range(base):
    changed, moved = apply_changes(base)
    assert np.mean(moved) > 0.97
    assert (base.scorer.score(changed).nearest == base.scores.rival)[moved].all()
    touched = (changed != base.rows) & ~np.isnan(changed)
    assert ((changed >= base.low) & (changed <= base.high))[touched].all()
    assert touched.sum(axis=1)[moved].min() == 1


def test_every_changed_customer_is_a_possible_one(base):
    """No warning that the customer did not have, and no kind of purchases without a month of it."""
    changed, moved = apply_changes(base)
    for i in np.flatnonzero(moved)[::10].tolist():
        assert oddities(changed[i]) <= oddities(base.rows[i])
        for part, often in PARTS:
            assert (changed[i, part] > 0) == (changed[i, often] > 0) or (base.rows[i, part] > 0) != (
                base.rows[i, often] > 0
            )


@pytest.mark.parametrize("k", [3, 6])
def test_every_changed_customer_of_the_sample_is_a_possible_one(sample_csv, k):
    frame: pd.DataFrame = read_customers(sample_csv).distance.iloc[:400]
    rows, scorer = frame.to_numpy(), CompiledScorer(Parameters.of(make_pipeline(k, seed=0).fit(frame)))
    scores = scorer.score(rows)
    search = CounterfactualSearch(scorer, *np.nanquantile(rows, [0.001, 0.999], axis=0))
    found = search.find(rows, scores.nearest, scores.rival)
    assert np.mean([changes is not None for changes in found]) > 0.9
    for row, rival, changes in zip(rows, scores.rival, found, strict=True):
        if changes is not None:
            changed = row.copy()
            changed[list(changes)] = list(changes.values())
            assert scorer.score_one(changed).nearest == rival
            assert oddities(changed) <= oddities(row)
            assert all(DISTANCE[f].fault(value) is None for f, value in changes.items())


PARTS = [
    (DISTANCE_NAMES.index(part), DISTANCE_NAMES.index(often))
    for part, often in (
        ("ONEOFF_PURCHASES", "ONEOFF_PURCHASES_FREQUENCY"),
        ("INSTALLMENTS_PURCHASES", "PURCHASES_INSTALLMENTS_FREQUENCY"),
    )
]


def apply_changes(base):
    """Return all rows after their changes, and which have one."""
    changed = base.rows.copy()
    moved = np.array([e["counterfactual"] is not None for e in base.explanations])
    for i in np.flatnonzero(moved).tolist():
        for change in base.explanations[i]["counterfactual"]["changes"]:
            changed[i, DISTANCE_NAMES.index(change["feature"])] = change["changed"]
    return changed, moved


def oddities(row):
    values = dict(zip(DISTANCE_NAMES, [None if value != value else value for value in row.tolist()], strict=True))
    return {(finding["pointer"], finding["code"]) for finding in findings(complete(values))}
