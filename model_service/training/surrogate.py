"""The rule sheet: a shallow decision tree that imitates the model in the customers' own units.

A surrogate explains a model by a simpler one fitted to its answers (Craven and Shavlik 1996); how often the two agree
is its fidelity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold
from sklearn.tree import DecisionTreeClassifier

from model_service.scoring.pipeline import Clusters, Matrix
from model_service.scoring.wording import rule_sentence
from shared.features import BY_NAME, Feature, Kind
from shared.model_description import Condition, Rule

MAX_DEPTH = 5
LEAVES_PER_SEGMENT = 3
MIN_LEAF = 0.01
"""Least share of the customers in a leaf."""
FOLDS = 5
MAX_RULES = 3
MAX_LOSS = 0.01
"""How much precision a rule may lose to become shorter."""

_AMOUNT_DIGITS = 2
_FREQUENCY_DECIMALS = 2
MIN_NEWS = 0.02
"""Least share of the segment that a rule covers and no better one does."""

Columns = Mapping[str, Matrix]


class RuleSheet(NamedTuple):
    """Up to `MAX_RULES` rules by cluster, and the share of held-out customers on whom tree and model agree."""

    rules: list[list[Rule]]
    fidelity: float


def rule_sheet(rows: Matrix, names: Sequence[str], labels: Clusters, k: int) -> RuleSheet:
    """Fit the tree and read the rules off it.

    Thresholds are rounded before anything is measured. A rule is a leaf without the conditions that it can do without
    (Quinlan 1987). Fidelity is cross-validated; precision and coverage of the rules are over all `rows`.

    Parameters
    ----------
    rows : imputed, in the features' units, shape (n_rows, n_features).
    names : of the features, shape (n_features,).
    labels : cluster of each row, 0 to `k` - 1, shape (n_rows,).
    """
    features = [BY_NAME[name] for name in names]
    table = dict(zip(names, rows.T, strict=True))
    rules: list[list[Rule]] = [[] for _ in range(k)]
    for cluster, conditions in _leaves(_fit(rows, features, labels, k), features):
        rule = _rule(conditions, table, labels == cluster)
        if rule:
            rules[cluster].append(rule)
    best = [_best(found, table, labels == cluster) for cluster, found in enumerate(rules)]
    return RuleSheet(best, _fidelity(rows, features, labels, k))


def _fit(rows: Matrix, features: Sequence[Feature], labels: Clusters, k: int) -> DecisionTreeClassifier:
    tree = DecisionTreeClassifier(
        max_depth=MAX_DEPTH, max_leaf_nodes=LEAVES_PER_SEGMENT * k, min_samples_leaf=MIN_LEAF, random_state=0
    ).fit(rows, labels)
    for node in np.flatnonzero(tree.tree_.children_left >= 0).tolist():
        # Written into the tree, so that its predictions, too, are those of the rounded rules.
        tree.tree_.threshold[node] = readable(tree.tree_.threshold[node], features[tree.tree_.feature[node]])
    return tree


def readable(threshold: float, feature: Feature) -> float:
    """Round a threshold to what a person would say: whole counts, hundredths of months, two digits of an amount."""
    if feature.whole:
        return float(np.floor(threshold))  # between two whole numbers, so nobody changes sides
    if feature.kind is Kind.FREQUENCY:
        return round(threshold, _FREQUENCY_DECIMALS)
    return float(f"{threshold:.{_AMOUNT_DIGITS}g}")


def _fidelity(rows: Matrix, features: Sequence[Feature], labels: Clusters, k: int) -> float:
    agree = np.zeros(len(rows), dtype=bool)
    for training, held_out in KFold(FOLDS, shuffle=True, random_state=0).split(rows):
        tree = _fit(rows[training], features, labels[training], k)
        agree[held_out] = tree.predict(rows[held_out]) == labels[held_out]
    return float(agree.mean())


def _leaves(tree: DecisionTreeClassifier, features: Sequence[Feature]) -> list[tuple[int, list[Condition]]]:
    """Return (cluster, conditions on the way to it) of each leaf."""
    nodes, found = tree.tree_, []
    waiting: list[tuple[int, list[Condition]]] = [(0, [])]
    while waiting:
        node, path = waiting.pop()
        if nodes.children_left[node] < 0:
            found.append((int(tree.classes_[nodes.value[node][0].argmax()]), _merged(path)))
            continue
        name, value = features[nodes.feature[node]].name, float(nodes.threshold[node])
        waiting.append((nodes.children_left[node], [*path, Condition(feature=name, operator="<=", value=value)]))
        waiting.append((nodes.children_right[node], [*path, Condition(feature=name, operator=">", value=value)]))
    return found


def _merged(path: Sequence[Condition]) -> list[Condition]:
    """Keep the tightest bound on each side of each feature, in the order of first mention, lower bound first."""
    bounds: dict[str, dict[str, float]] = {}
    for c in path:
        sides = bounds.setdefault(c["feature"], {})
        tightest = max if c["operator"] == ">" else min
        sides[c["operator"]] = tightest(c["value"], sides.get(c["operator"], c["value"]))
    return [
        Condition(feature=name, operator=operator, value=sides[operator])
        for name, sides in bounds.items()
        for operator in (">", "<=")
        if operator in sides
    ]


def _rule(conditions: Sequence[Condition], table: Columns, inside: NDArray[np.bool_]) -> Rule | None:
    """Return the leaf's rule, or None if after rounding it is about nobody of the segment."""
    if not conditions or not (_covered(conditions, table) & inside).any():
        return None
    shortest = _pruned(list(conditions), table, inside)
    covered = _covered(shortest, table)
    rule = Rule(conditions=shortest, precision=_share(inside, covered), coverage=_share(covered, inside), sentence="")
    return {**rule, "sentence": rule_sentence(rule)}


def _pruned(conditions: list[Condition], table: Columns, inside: NDArray[np.bool_]) -> list[Condition]:
    """Leave out, from the first to the last, each condition without which the rule is hardly less precise."""
    least = _share(inside, _covered(conditions, table)) - MAX_LOSS
    for condition in list(conditions):
        rest = [c for c in conditions if c is not condition]
        if rest and _share(inside, _covered(rest, table)) >= least:
            conditions = rest
    return conditions


def _best(rules: Sequence[Rule], table: Columns, inside: NDArray[np.bool_]) -> list[Rule]:
    """Return the best rules, by the harmonic mean of precision and coverage, that each say something new."""
    found: list[Rule] = []
    told = np.zeros_like(inside)
    for rule in sorted(rules, key=lambda r: -r["precision"] * r["coverage"] / (r["precision"] + r["coverage"])):
        covered = _covered(rule["conditions"], table)
        if _share(covered & ~told, inside) >= MIN_NEWS:
            found.append(rule)
            told |= covered
    return found[:MAX_RULES]


def _covered(conditions: Sequence[Condition], table: Columns) -> NDArray[np.bool_]:
    """Return which rows meet all `conditions`."""
    tests = [
        table[c["feature"]] > c["value"] if c["operator"] == ">" else table[c["feature"]] <= c["value"]
        for c in conditions
    ]
    return np.asarray(np.logical_and.reduce(tests))


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    return float((part & whole).sum() / whole.sum())
