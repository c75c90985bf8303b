"""The smallest change of one or two features that moves a customer to the rival segment and leaves it a possible one.

The gap ``d2² - d1²`` is linear in standardised log space: with own centroid c1 and rival c2, moving feature f by t
lowers it by ``2 (c1_f - c2_f) t``. So every single feature and every pair has a shortest move to the border. Columns
depend on one another, though: what must go with a move (`model_service.scoring.possible`) counts, too, and how far the
last feature of a candidate goes is found by false position with it. All candidates of many customers are worked out at
once, rounded to values that a customer can have and ordered by length.

Guaranteed of the changed customer: its nearest segment is the rival (no third one intrudes); every changed value obeys
the feature's hard rule and lies within the training range; and nothing is odd about it that was not so before
(`shared.findings`). Preferred: one feature over two, where it does not cost much length. Who cannot be moved that way
gets no change. A change says what the model reacts to, not what the customer should do.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple, cast

import numpy as np

from model_service.scoring.pipeline import Clusters, CompiledScorer, Matrix
from model_service.scoring.possible import LEAST, Mask, completed
from shared.features import DISTANCE, DISTANCE_NAMES, Kind, complete
from shared.findings import findings

BEYOND = 1e-6
"""How far past the border to aim, in squared distance: more than rounding errors, less than anybody would notice."""

SIMPLER = 1.25
"""A change of one feature is preferred unless it is this many times longer than one of two."""

ROUNDS = 6
"""Rounds of false position; one is enough where nothing goes with a move."""

ROWS_AT_ONCE = 64
"""Customers worked out together: 153 candidates each, with temporaries of a few megabytes."""

DECIMALS = {Kind.AMOUNT: 2, Kind.FREQUENCY: 3, Kind.COUNT: 0, Kind.MONTHS: 0}
"""Digits after the point of a changed value."""

_features = np.arange(len(DISTANCE))
# A whole feature goes first in its pair: rounding moves it far, and the other one then does only what is left.
_pairs = np.array(list(combinations(sorted(_features, key=lambda f: not DISTANCE[f].whole), 2)), dtype=np.intp).T
_first, _last = np.concatenate([np.stack([_features, _features]), _pairs], axis=1)
"""The features of every candidate: the single ones, given twice, then the pairs."""

Changes = dict[int, float]
"""New values, in the feature's unit, by index into `shared.features.DISTANCE`."""


class _Room(NamedTuple):
    """What moving each feature can do for each of n rows, in standardised log space.

    Attributes
    ----------
    z : where the rows are, shape (n, n_features).
    towards : the direction that lowers the gap, -1 or 1, shape (n, n_features).
    slope : what a unit of movement takes from the gap, shape (n, n_features).
    shortest, longest : movements that end inside the training range, shape (n, n_features); NaN where none helps.
    gap : what must be taken, shape (n, 1).
    """

    z: Matrix
    towards: Matrix
    slope: Matrix
    shortest: Matrix
    longest: Matrix
    gap: Matrix


class _Candidates(NamedTuple):
    """Every candidate of every customer, each of length m.

    Attributes
    ----------
    row, own, rival : the customer, and its segments.
    first, last : the features.
    value : the new value of the first feature; NaN for those of one feature.
    least, most : how far the last feature may go, in standardised log space.
    """

    row: Clusters
    own: Clusters
    rival: Clusters
    first: Clusters
    last: Clusters
    value: Matrix
    least: Matrix
    most: Matrix


class CounterfactualSearch:
    """Finds the smallest changes for one model.

    Parameters
    ----------
    scorer : of the model; has the last word on every change.
    low, high : the training ranges, in each feature's unit, shape (n_features,).
    """

    def __init__(self, scorer: CompiledScorer, low: Matrix, high: Matrix) -> None:
        self._scorer = scorer
        self._parameters = scorer.parameters
        self._steps = 10.0 ** np.array([DECIMALS[f.kind] for f in DISTANCE])
        minimum, maximum = np.array([(f.minimum, f.maximum) for f in DISTANCE]).T
        excluded = np.array([f.exclusive_minimum for f in DISTANCE]) & (low <= minimum)
        self._low = (np.ceil(np.maximum(low, minimum) * self._steps) + excluded) / self._steps
        self._high = np.floor(np.minimum(high, maximum) * self._steps) / self._steps
        self._finite_scale = np.where(np.isinf(self._parameters.scale), 0.0, self._parameters.scale)
        self._amounts = np.array([f.kind is Kind.AMOUNT for f in DISTANCE])

    def find(self, rows: Matrix, own: Clusters, rival: Clusters) -> list[Changes | None]:
        """Return each row's smallest change towards its rival, None where none was found.

        Parameters
        ----------
        rows : shape (n, n_features), in the features' units, NaN for missing (a change starts at the median then).
        own, rival : clusters of the nearest and the second nearest centroid, shape (n,).
        """
        found: list[Changes | None] = []
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            found += self._find(rows[part], own[part], rival[part])
        return found

    def _find(self, rows: Matrix, own: Clusters, rival: Clusters) -> list[Changes | None]:
        room = self._room(rows, own, rival)
        candidates = self._candidates(room, own, rival)
        moved = self._moved(rows, room, candidates)
        changed = (moved != rows[candidates.row]) & ~np.isnan(moved)
        inside = ((moved >= self._low) & (moved <= self._high) | ~changed).all(axis=1)
        there = inside & changed.any(axis=1) & (self._scorer.score(moved).nearest == candidates.rival)
        length = np.linalg.norm(self._parameters.standardise(moved) - room.z[candidates.row], axis=1)
        length *= np.where(candidates.first == candidates.last, 1.0, SIMPLER)
        chosen: dict[int, Changes] = {}
        oddities = [_oddities(row) for row in rows]
        order = np.flatnonzero(there)[np.argsort(length[there], kind="stable")]
        for c in order.tolist():
            row = int(candidates.row[c])
            if row not in chosen and _oddities(moved[c]) <= oddities[row]:
                chosen[row] = _changes(moved[c], changed[c], candidates.first[c], candidates.last[c])
        return [chosen.get(row) for row in range(len(rows))]

    def _moved(self, rows: Matrix, room: _Room, candidates: _Candidates) -> Matrix:
        """Return the customers, each moved by a candidate just beyond the border if it can be, (m, n_features)."""
        before, each = rows[candidates.row], np.arange(len(candidates.row))
        paired = candidates.first != candidates.last
        started = before.copy()
        started[each[paired], candidates.first[paired]] = candidates.value[paired]
        rivals = np.expm1(self._parameters.centroids * self._finite_scale + self._parameters.mean)[candidates.rival]
        last, towards = candidates.last, room.towards[candidates.row, candidates.last]
        z, scale, mean = room.z[candidates.row, last], self._parameters.scale[last], self._parameters.mean[last]

        def at(distance: Matrix, rounded: bool = False) -> Matrix:
            values = np.expm1((z + towards * distance) * scale + mean)
            if rounded:
                exact = values * self._steps[last]
                values = np.where(towards < 0, np.floor(exact), np.ceil(exact)) / self._steps[last]
            moved = started.copy()
            moved[each, last] = np.clip(values, self._low[last], self._high[last])
            return completed(moved, before, rivals)

        def left(distance: Matrix) -> Matrix:
            return self._gap(at(distance), candidates.own, candidates.rival)[:, 0]

        return at(_border(left, candidates.least, candidates.most), rounded=True)

    def _room(self, rows: Matrix, own: Clusters, rival: Clusters) -> _Room:
        centroids = self._parameters.centroids
        apart = centroids[own] - centroids[rival]
        towards = np.where(apart > 0, -1.0, 1.0)
        low, high = self._parameters.standardise(self._low), self._parameters.standardise(self._high)
        z = self._parameters.standardise(rows)
        longest = np.where(towards < 0, z - low, high - z)
        shortest = np.maximum(np.where(towards < 0, z - high, low - z), 0.0)
        begun = self._amounts & (rows == 0) & (towards > 0)
        least = self._parameters.standardise(np.full_like(self._low, LEAST))
        shortest = np.where(begun, np.maximum(shortest, least - z), shortest)
        helps = (apart != 0) & (longest > 0) & (shortest <= longest)
        return _Room(
            z=z,
            towards=towards,
            slope=2.0 * np.abs(apart),
            shortest=shortest,
            longest=np.where(helps, longest, np.nan),
            gap=self._gap(rows, own, rival),
        )

    def _gap(self, rows: Matrix, own: Clusters, rival: Clusters) -> Matrix:
        gap = self._scorer.contributions(rows, own, rival).sum(axis=1, keepdims=True)
        return cast(Matrix, gap + self._scorer.unseen_contributions(own, rival).sum(axis=1, keepdims=True) + BEYOND)

    def _candidates(self, room: _Room, own: Clusters, rival: Clusters) -> _Candidates:
        """Return every candidate whose last feature has something left to do."""
        value, moved = self._rounded(room, _pairs[0], _first_of_pair(room))
        left = room.gap - room.slope[:, _pairs[0]] * moved
        # Where rounding the first feature closed the gap already, the pair is that feature's single change.
        usable = np.isfinite(room.longest[:, _last])
        usable[:, len(_features) :] &= left > 0
        row, candidate = np.nonzero(usable)
        values = np.concatenate([np.full((len(room.z), len(_features)), np.nan), value], axis=1)
        last = _last[candidate]
        return _Candidates(
            row=row,
            own=own[row],
            rival=rival[row],
            first=_first[candidate],
            last=last,
            value=values[row, candidate],
            least=room.shortest[row, last],
            most=room.longest[row, last],
        )

    def _rounded(self, room: _Room, features: Clusters, wanted: Matrix) -> tuple[Matrix, Matrix]:
        """Return the values, in the features' units, that move at least as far as `wanted`, and how far they move.

        `wanted` and both results have shape (n, len(features)); NaN stays NaN.
        """
        p, steps, towards = self._parameters, self._steps[features], room.towards[:, features]
        z = room.z[:, features]
        exact = np.expm1((z + towards * wanted) * p.scale[features] + p.mean[features]) * steps
        value = np.where(towards < 0, np.floor(exact), np.ceil(exact)) / steps
        value = np.clip(value, self._low[features], self._high[features])
        return value, ((np.log1p(value) - p.mean[features]) / p.scale[features] - z) * towards


def _first_of_pair(room: _Room) -> Matrix:
    """Return how far the first feature of each pair goes in the shortest move that closes the gap, (n, n_pairs).

    That move is the foot of the perpendicular on the border, brought into the box along the border.
    """
    (a, b), (shortest_a, shortest_b), (longest_a, longest_b) = (
        (of[:, _pairs[0]], of[:, _pairs[1]]) for of in (room.slope, room.shortest, room.longest)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        moved_a = np.clip(a * room.gap / (a * a + b * b), shortest_a, longest_a)
        moved_b = np.clip((room.gap - a * moved_a) / b, shortest_b, longest_b)
        moved_a = np.clip((room.gap - b * moved_b) / a, shortest_a, longest_a)
    return cast(Matrix, np.where(moved_a > 0, moved_a, np.nan))


def _border(left: Callable[[Matrix], Matrix], least: Matrix, most: Matrix) -> Matrix:
    """Return for each candidate how far it goes: just beyond the border, or all the way where that is not enough.

    False position with the Illinois modification (Dowell and Jarratt 1971): what is `left` of the gap falls with the
    distance, in a straight line as long as nothing goes with the move.
    """
    low, high = least, most
    left_low, left_high = left(low), left(high)
    high = np.where(left_low <= BEYOND / 2, low, high)  # what goes with the smallest move is enough already
    for _ in range(ROUNDS):
        with np.errstate(divide="ignore", invalid="ignore"):
            share = left_low / (left_low - left_high)
        tried = low + (high - low) * np.clip(np.where(np.isfinite(share), share, 0.5), 0.0, 1.0)
        found = left(tried)
        beyond = found <= BEYOND / 2
        # Half the weight of the end that stays, so that it comes nearer, too.
        left_low, left_high = np.where(beyond, left_low / 2, found), np.where(beyond, found, left_high / 2)
        low, high = np.where(beyond, low, tried), np.where(beyond, tried, high)
    return high


_PARTS = (
    ("BALANCE", "BALANCE_FREQUENCY"),
    ("ONEOFF_PURCHASES", "ONEOFF_PURCHASES_FREQUENCY"),
    ("INSTALLMENTS_PURCHASES", "PURCHASES_INSTALLMENTS_FREQUENCY"),
)


def _oddities(row: Matrix) -> set[tuple[str, str]]:
    """Return what is odd about a customer, given by its row."""
    known = zip(DISTANCE_NAMES, row.tolist(), strict=True)
    values = complete({name: None if value != value else value for name, value in known})
    odd = {(found["pointer"], found["code"]) for found in findings(values)}
    parts = [(part, often) for part, often in _PARTS if part in values and often in values]
    return odd | {(part, often) for part, often in parts if (values[part] > 0) != (values[often] > 0)}


def _changes(moved: Matrix, changed: Mask, first: int, last: int) -> Changes:
    """Return the changed values: those of the candidate's features, then those that go with them."""
    order = dict.fromkeys([int(first), int(last), *np.flatnonzero(changed).tolist()])
    return {f: float(moved[f]) for f in order if changed[f]}
