"""The smallest change of one or two features that moves a customer to the rival segment.

The gap ``d2² - d1²`` is linear in standardised log space: with own centroid c1 and rival c2, moving feature f by t
lowers it by ``2 (c1_f - c2_f) t``. The shortest move inside a box that closes it with one or two features is therefore
known in closed form. All of them are computed at once, rounded to values that a customer can have and ordered by
length; the first that the scorer confirms is taken.

Guaranteed of the changed customer: its nearest segment is the rival (no third one intrudes), and every changed value
obeys the feature's hard rule and lies within the training range. Preferred, where it does not cost much length: one
feature over two, and changes that make nothing odd about the customer. Not guaranteed, therefore: that features which
depend on one another (total purchases and their parts, amounts and how often they occur) still agree; on the public
data they do for two thirds of the customers. A change says what the model reacts to, not what the customer should do.
Only the border between the two segments is tried, not what lies behind the ground of a third one on that border; one
customer in a thousand of the public data gets no change for that reason, one in fifty because there is none.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple, cast

import numpy as np

from model_service.scoring.pipeline import Clusters, CompiledScorer, Matrix
from shared.features import DISTANCE, DISTANCE_NAMES, Kind, complete
from shared.findings import findings

BEYOND = 1e-6
"""How far past the border to aim, in squared distance: more than rounding errors, less than anybody would notice."""

SIMPLER = 1.25
"""A change of one feature is preferred unless it is this many times longer than one of two."""

CONSISTENT = 1.5
"""A change that makes nothing odd about the customer (`shared.findings`) is preferred unless it is this many times
longer than one that does."""

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
    """New values of the first and last feature of every candidate and its length, each (n, n_candidates).

    The length is NaN where a candidate is none; those of pairs are multiplied by `SIMPLER`.
    """

    first: Matrix
    last: Matrix
    length: Matrix


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

    def find(self, rows: Matrix, own: Clusters, rival: Clusters) -> list[Changes | None]:
        """Return each row's smallest change towards its rival, None where none was found.

        Parameters
        ----------
        rows : shape (n, n_features), in the features' units, NaN for missing (a change starts at the median then).
        own, rival : clusters of the nearest and the second nearest centroid, shape (n,).
        """
        candidates = self._candidates(self._room(rows, own, rival))
        choices = self._choose(rows, rival, candidates).tolist()
        return [None if choice < 0 else _changes(candidates, row, choice) for row, choice in enumerate(choices)]

    def _choose(self, rows: Matrix, rival: Clusters, candidates: _Candidates) -> Clusters:
        """Return each row's best candidate, -1 for none; shape (n,). All rows try their next shortest together."""
        ranking = candidates.length.argsort(axis=1)  # NaN comes last
        choices = np.full(len(rows), -1)
        reach = np.full(len(rows), np.inf)
        oddities = [_oddities(row) for row in rows]
        pending = np.arange(len(rows))
        for tried in ranking.T:
            length = candidates.length[pending, tried[pending]]
            pending = pending[length <= reach[pending]]
            if not len(pending):
                break
            changed = _changed(rows, candidates, pending, tried[pending])
            settled = np.zeros(len(pending), dtype=bool)
            for i in np.flatnonzero(self._scorer.score(changed).nearest == rival[pending]).tolist():
                row = pending[i]
                settled[i] = _oddities(changed[i]) <= oddities[row]
                if settled[i] or choices[row] < 0:
                    choices[row] = tried[row]
                    reach[row] = CONSISTENT * candidates.length[row, tried[row]]
            pending = pending[~settled]
        return choices

    def _room(self, rows: Matrix, own: Clusters, rival: Clusters) -> _Room:
        centroids = self._parameters.centroids
        apart = centroids[own] - centroids[rival]
        towards = np.where(apart > 0, -1.0, 1.0)
        low, high = self._parameters.standardise(self._low), self._parameters.standardise(self._high)
        z = self._parameters.standardise(rows)
        longest = np.where(towards < 0, z - low, high - z)
        shortest = np.maximum(np.where(towards < 0, z - high, low - z), 0.0)
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

    def _candidates(self, room: _Room) -> _Candidates:
        """Return every candidate, rounded."""
        first, first_moved = self._rounded(room, _pairs[0], _first_of_pair(room))
        left = room.gap - room.slope[:, _pairs[0]] * first_moved
        left = np.concatenate([np.repeat(room.gap, len(_features), axis=1), left], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted = np.maximum(left / room.slope[:, _last], room.shortest[:, _last])
        # Where rounding the first feature closed the gap already, the pair is that feature's single change.
        wanted[~((left > 0) & (wanted <= room.longest[:, _last]))] = np.nan
        last, moved = self._rounded(room, _last, wanted)
        length = moved.copy()
        length[:, len(_features) :] = SIMPLER * np.hypot(first_moved, moved[:, len(_features) :])
        return _Candidates(np.concatenate([last[:, : len(_features)], first], axis=1), last, length)

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


def _changed(rows: Matrix, candidates: _Candidates, pending: Clusters, chosen: Clusters) -> Matrix:
    """Return the pending rows, each changed by its chosen candidate."""
    changed = rows[pending]
    each = np.arange(len(pending))
    changed[each, _first[chosen]] = candidates.first[pending, chosen]
    changed[each, _last[chosen]] = candidates.last[pending, chosen]
    return changed


def _oddities(row: Matrix) -> set[tuple[str, str]]:
    """Return what is odd about a customer, given by its row."""
    values = {name: None if value != value else value for name, value in zip(DISTANCE_NAMES, row.tolist(), strict=True)}
    return {(found["pointer"], found["code"]) for found in findings(complete(values))}


def _changes(candidates: _Candidates, row: int, choice: int) -> Changes:
    return {
        int(_first[choice]): float(candidates.first[row, choice]),
        int(_last[choice]): float(candidates.last[row, choice]),
    }
