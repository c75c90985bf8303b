"""Why a customer whose data changed went from one segment to another: the change, split over what changed.

The gap of a customer between two segments is a sum over the features (`CompiledScorer.contributions`), and so is its
change: of the features that stayed the same the terms cancel, so that only those that changed need be known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from model_service.scoring.feature_space import FeatureSpace
from model_service.scoring.pipeline import CompiledScorer
from model_service.scoring.wording import enumerated, reasons, shown, told_apart
from shared.contract import MoveContribution, MoveExplanation, SegmentRef
from shared.features import BY_NAME, DISTANCE_NAMES

Changes = Mapping[str, Sequence[float | None]]
"""By feature its value before and after, in its unit; None for missing."""


class MoveExplainer:
    """Explains moves under one model.

    Parameters
    ----------
    scorer : of the model.
    space : which features count.
    currency : of the amounts in sentences, a code in ISO 4217; none unless given.
    """

    def __init__(self, scorer: CompiledScorer, space: FeatureSpace, currency: str = "") -> None:
        self._currency = currency
        self._scorer = scorer
        self._counting = {DISTANCE_NAMES[f] for f in np.flatnonzero(space.counts).tolist()}

    def explain(
        self, version: str, segments: tuple[SegmentRef, SegmentRef], clusters: tuple[int, int], changes: Changes
    ) -> MoveExplanation:
        """Split the change of the gap over the `changes`.

        Parameters
        ----------
        segments, clusters : where the customer comes from, and where it has gone.
        """
        terms = self._terms(clusters, changes)
        order = sorted(changes, key=lambda name: -abs(terms[name]))
        values = [terms[name] for name in order]
        clauses = [self._clause(name, *changes[name]) for name in order]
        total = sum(map(abs, values))
        return {
            "model_version": version,
            "from": segments[0],
            "to": segments[1],
            "change": sum(values),
            "contributions": [
                self._contribution(name, changes[name], value, clause, total)
                for name, value, clause in zip(order, values, clauses, strict=True)
            ],
            "sentence": _sentence(*segments, values, clauses),
        }

    def _terms(self, clusters: tuple[int, int], changes: Changes) -> dict[str, float]:
        """Return by how much each feature has brought the customer nearer to where it went."""
        rows = np.full((2, len(DISTANCE_NAMES)), np.nan)
        for name, values in changes.items():
            if name in self._counting:
                rows[:, DISTANCE_NAMES.index(name)] = [np.nan if value is None else value for value in values]
        origin, destination = (np.full(2, cluster) for cluster in clusters)
        before, after = self._scorer.contributions(rows, destination, origin)
        split = dict(zip(DISTANCE_NAMES, (after - before).tolist(), strict=True))
        return {name: split.get(name, 0.0) for name in changes}

    def _clause(self, name: str, before: float | None, after: float | None) -> str:
        feature = BY_NAME[name]
        taken = float(self._scorer.parameters.fill[DISTANCE_NAMES.index(name)]) if name in DISTANCE_NAMES else 0.0
        was, now = told_apart(
            feature,
            taken if before is None else float(before),
            taken if after is None else float(after),
            self._currency,
        )
        if name not in self._counting:
            was, now = ("unknown" if value is None else text for value, text in ((before, was), (after, now)))
            return feature.clause.format(f"{now} instead of {was}")
        return feature.clause.format(
            f"{shown(now, missing=after is None)} instead of {shown(was, missing=before is None)}"
        )

    def _contribution(
        self, name: str, values: Sequence[float | None], contribution: float, clause: str, total: float
    ) -> MoveContribution:
        counts = name in self._counting
        found = MoveContribution(
            feature=name,
            unit=BY_NAME[name].unit,
            before=values[0],
            after=values[1],
            contribution=contribution,
            share=abs(contribution) / total if total else 0.0,
            sentence=f"{clause[:1].upper()}{clause[1:]}{'' if counts else ', which this model does not look at'}.",
        )
        return found if counts else {**found, "left_out": True}


def _sentence(origin: SegmentRef, destination: SegmentRef, values: Sequence[float], clauses: Sequence[str]) -> str:
    """Say what has moved the customer, or that what changed has not."""
    change = sum(values)
    if change > 0:
        moved = f"Moved from {origin['name']} to {destination['name']}"
        return reasons(moved, values, range(len(values)), clauses.__getitem__)
    if not any(values):
        return f"Nothing that changed makes a difference between {origin['name']} and {destination['name']}."
    told = enumerated([clause for value, clause in zip(values, clauses, strict=True) if value < 0][:3])
    return (
        f"What changed speaks for {origin['name']} rather than {destination['name']} and does not explain the move: "
        f"{told}."
    )
