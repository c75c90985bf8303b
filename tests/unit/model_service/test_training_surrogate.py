from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_service.training.surrogate import MAX_RULES, readable, rule_sheet
from shared.features import BY_NAME, FEATURES, Kind

NAMES = ("CASH_ADVANCE", "PURCHASES", "TENURE")


def customers(seed: int = 0, rows: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Two kinds that a tree can tell apart: those who take more than 35 in cash, and the others."""
    generator = np.random.default_rng(seed)
    cash = np.where(np.arange(rows) % 3 == 0, generator.uniform(40, 900, rows), generator.uniform(0, 30, rows))
    values = np.column_stack([cash, generator.uniform(0, 5000, rows), generator.integers(6, 13, rows).astype(float)])
    return values, (cash > 35).astype(np.intp)


def test_an_obvious_rule_is_found_and_said():
    rows, labels = customers()
    sheet = rule_sheet(rows, NAMES, labels, 2)
    assert sheet.fidelity == pytest.approx(1.0, abs=0.01)
    (other,), (cash,) = sheet.rules
    ((condition),) = cash["conditions"]
    assert (condition["feature"], condition["operator"]) == ("CASH_ADVANCE", ">")
    assert 30 <= condition["value"] <= 40
    assert cash["sentence"] == (
        f"Cash advances in 12 months above {condition['value']:g}: "
        "100% of these customers are in the segment, and they make up 100% of it"
    )
    assert other["sentence"].startswith(f"Cash advances in 12 months at most {condition['value']:g}: ")


def test_rules_are_measured_after_rounding():
    rows, labels = customers(1)
    labels = ((rows[:, 0] > 35) ^ (rows[:, 1] > 4321.6)).astype(np.intp)
    for cluster, rules in enumerate(rule_sheet(rows, NAMES, labels, 2).rules):
        assert 0 < len(rules) <= MAX_RULES
        for rule in rules:
            covered = np.ones(len(rows), dtype=bool)
            for c in rule["conditions"]:
                values = rows[:, NAMES.index(c["feature"])]
                assert c["value"] == readable(c["value"], BY_NAME[c["feature"]]), "a threshold can be said"
                covered &= values > c["value"] if c["operator"] == ">" else values <= c["value"]
            inside = labels == cluster
            assert rule["precision"] == (covered & inside).sum() / covered.sum()
            assert rule["coverage"] == (covered & inside).sum() / inside.sum()


def test_a_range_is_two_conditions_and_one_phrase():
    rows, _ = customers(2)
    labels = ((rows[:, 1] > 1000) & (rows[:, 1] <= 2000)).astype(np.intp)
    rule = rule_sheet(rows, NAMES, labels, 2).rules[1][0]
    assert [(c["feature"], c["operator"]) for c in rule["conditions"]] == [("PURCHASES", ">"), ("PURCHASES", "<=")]
    low, high = (c["value"] for c in rule["conditions"])
    assert rule["sentence"].startswith(f"Purchases in 12 months above {low:,.0f} up to {high:,.0f}: ")


def test_rules_never_say_the_same_twice():
    rows, _ = customers(3, 2000)
    labels = (rows[:, 1] // 1250).astype(np.intp)
    for rules in rule_sheet(rows, NAMES, labels, 4).rules:
        assert len({str(rule["conditions"]) for rule in rules}) == len(rules)


def test_a_segment_that_the_tree_never_says_has_no_rule():
    rows, labels = customers()
    labels = labels.copy()
    labels[:2] = 2  # fewer than a leaf holds
    sheet = rule_sheet(rows, NAMES, labels, 3)
    assert sheet.rules[2] == []
    assert sheet.fidelity < 1


def test_the_same_customers_make_the_same_sheet():
    rows, labels = customers(5)
    assert rule_sheet(rows, NAMES, labels, 2) == rule_sheet(rows, NAMES, labels, 2)


@given(st.sampled_from(FEATURES), st.floats(0, 1e6))
def test_readable_thresholds_stay_near_and_are_stable(feature, threshold):
    found = readable(threshold, feature)
    assert readable(found, feature) == found
    tolerance = {Kind.AMOUNT: 0.051 * threshold, Kind.FREQUENCY: 0.0051}.get(feature.kind, 1.0)
    assert abs(found - threshold) <= tolerance
