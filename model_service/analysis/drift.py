"""Drift: are the customers of now those that a version was trained on? In constant memory for any number of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from model_service.analysis.stability_index import MIX, FeatureShift, chance_limit, contributions, tier
from model_service.scoring.pipeline import Matrix
from model_service.scoring.predictor import DECIMALS, Predictor
from model_service.scoring.rows import distance_matrix
from model_service.store.artefact import reading
from model_service.store.errors import NoEvidence
from model_service.store.labels import displayed_name
from model_service.store.manifest import Evidence
from shared.features import BY_NAME, DERIVED, FEATURES, INPUT_NAMES
from shared.model_contract import DistanceDrift, Drift, FeatureDrift, MixDrift
from shared.typography import fixed, percent

MINIMUM_ROWS = 200
"""Below this there is no verdict: of 100 unchanged customers, 96 % have an index above 0.1 somewhere
(docs/clustering-study.md, §7)."""

MIX_FALSE_ALARMS = 0.01
"""Probability that the mix of segments of an unchanged population is detected."""


class DriftCounter:
    """Compares customers with those that the version of `predictor` was trained on.

    Add them in blocks of any size and order: the result is the same.

    Raises
    ------
    NoEvidence, ArtefactDamaged
    """

    def __init__(self, predictor: Predictor) -> None:
        with reading(predictor.version):
            evidence = _evidence(predictor)
            histograms = evidence["histograms"]
            self._shifts = {f.name: FeatureShift(f, histograms[f.name]) for f in FEATURES if f.name in histograms}
            self._training_median = float(np.median(evidence["distances"]))
        self._predictor = predictor
        self._clusters = np.zeros(predictor.manifest["k"], dtype=np.int64)
        self._distances = DistanceHistogram()
        self._far = 0

    def add(self, columns: Mapping[str, Matrix]) -> None:
        """Count faultless customers.

        Parameters
        ----------
        columns : a float64 array of shape (n,) for every input feature, in its unit, NaN for missing.
        """
        scores = self._predictor.score_columns(distance_matrix(columns))
        distances = np.array(scores["distance"], dtype=np.float64)
        self._clusters += np.bincount(np.array(scores["cluster"], dtype=np.intp), minlength=len(self._clusters))
        self._distances.add(distances)
        self._far += int(np.count_nonzero(distances > self._predictor.manifest["distance_limit"]))
        complete = _complete(columns)
        for name, shift in self._shifts.items():
            shift.add(complete[name])

    def result(self, as_of: str) -> Drift:
        """Return what the customers added so far say; `as_of` is a time in RFC 3339."""
        rows = int(self._clusters.sum())
        drift = Drift(
            model_version=self._predictor.version,
            verdict="not_enough_data",
            rows=rows,
            minimum_rows=MINIMUM_ROWS,
            as_of=as_of,
            features=[],
            segment_mix=None,
            distance=None,
            remarks=too_few(rows, MINIMUM_ROWS),
        )
        if rows >= MINIMUM_ROWS:
            self._judge(drift)
        return drift

    def _judge(self, drift: Drift) -> None:
        features = sorted((shift.drift() for shift in self._shifts.values()), key=lambda f: -f["psi"])
        changes = {name: shift.largest_change(self._predictor.currency) for name, shift in self._shifts.items()}
        mix, distance = self._mix(), self._distance()
        drift["features"], drift["segment_mix"], drift["distance"] = features, mix, distance
        drift["verdict"] = verdict(features, mix)
        drift["remarks"] = [*remarks(features, changes, mix, distance), *self._unmeasured()]

    def _unmeasured(self) -> Iterator[str]:
        younger = [f.called for f in FEATURES if f.name not in self._shifts]
        if younger:
            yield f"Not measured, as the model was trained without them: {', '.join(younger)}."

    def _mix(self) -> MixDrift:
        segments = self._predictor.manifest["segments"]
        training = np.array([s["size"] for s in segments], dtype=np.int64)
        now = self._clusters[[s["cluster"] for s in segments]]
        index = float(contributions(training, now).sum())
        limit = chance_limit(training, now, MIX_FALSE_ALARMS)
        ids = [s["id"] for s in segments]
        return MixDrift(
            psi=round(index, DECIMALS),
            limit=round(limit, DECIMALS),
            tier=tier(index, limit, MIX),
            training=dict(zip(ids, (training / training.sum()).round(DECIMALS).tolist(), strict=True)),
            now=dict(zip(ids, (now / now.sum()).round(DECIMALS).tolist(), strict=True)),
            names={s["id"]: displayed_name(s, self._predictor.labels) for s in segments},
        )

    def _distance(self) -> DistanceDrift | None:
        if not self._training_median:  # most training customers were alike; there is nothing to be a ratio of
            return None
        median = self._distances.median()
        return DistanceDrift(
            training_median=round(self._training_median, DECIMALS),
            median=round(median, DECIMALS),
            inflation=round(median / self._training_median, DECIMALS),
            beyond_limit=round(self._far / int(self._clusters.sum()), DECIMALS),
        )


def _evidence(predictor: Predictor) -> Evidence:
    evidence = predictor.manifest.get("evidence")
    if evidence is None or not evidence["histograms"]:
        detail = "was trained before drift could be measured; retrain to measure it."
        raise NoEvidence(f"Version {predictor.version} {detail}")
    return evidence


def _complete(columns: Mapping[str, Matrix]) -> dict[str, Matrix]:
    """Return the input columns and, computed from them, the derived ones."""
    inputs = {name: columns[name] for name in INPUT_NAMES}
    derived = {f.name: np.fromiter(map(f.derive, _customers(inputs)), np.float64) for f in DERIVED if f.derive}
    return inputs | derived


def _customers(inputs: Mapping[str, Matrix]) -> Iterator[dict[str, float]]:
    """Yield one customer at a time: many dicts at once would keep the garbage collector busy."""
    for row in zip(*(column.tolist() for column in inputs.values()), strict=True):
        yield dict(zip(inputs, row, strict=True))


Verdict = Literal["stable", "watch", "retrain"]

NAMED_CHANGES = 3
"""Most segments whose shares are named."""

INFLATED = 1.1
"""How many times farther than in training customers must lie for a remark."""
FAR = 0.01
"""The same of the share beyond the distance that 0.1 % of the training customers exceed."""

UNSEEN = (
    "What this cannot see: the index compares one feature at a time, over all customers. A modest change among some "
    "of them stays below the limit of chance (on the public data, 20% more cash advances for 30% of the customers "
    "gave an index below 0.002), and so does a change in how features are related."
)

CHECK_FIRST = (
    "Before retraining, check where the severely shifted values come from: a changed unit or a broken feed looks just "
    "like changed customers, and a model trained on such data would be wrong."
)


def verdict(features: Sequence[FeatureDrift], mix: MixDrift) -> Verdict:
    """Sum up: retrain when the mix of segments has materially shifted or a feature severely, watch when a feature has.

    A mix that shifted means that the segments' sizes and profiles are no longer those on record, and a feature's
    severe shift that the customers are not those which the segments were made for. A material shift of a feature
    moves few customers (docs/clustering-study.md, §7: 0.3 to 3 % of them), so that it can wait.
    """
    tiers = {f["tier"] for f in features}
    if mix["tier"] in ("material", "severe") or "severe" in tiers:
        return "retrain"
    return "watch" if "material" in tiers else "stable"


def too_few(rows: int, minimum: int) -> list[str]:
    """Say why there is no verdict."""
    return [
        f"{rows:,} customers are too few for a verdict: with fewer than {minimum}, the index mostly reflects chance."
    ]


def remarks(
    features: Sequence[FeatureDrift], changes: Mapping[str, str], mix: MixDrift, distance: DistanceDrift | None
) -> list[str]:
    """Say what has shifted and what to make of it.

    Parameters
    ----------
    changes : by feature, where its distribution changed most.
    """
    return [*_on_features(features, changes), *_on_mix(mix), *_on_distance(distance), UNSEEN]


def _on_features(features: Sequence[FeatureDrift], changes: Mapping[str, str]) -> Iterator[str]:
    for f in features:
        if f["tier"] in ("material", "severe"):
            label, index = BY_NAME[f["feature"]].label, fixed(f["psi"], 3)
            yield f"{label}: shifted ({f['tier']}, index {index}); {changes[f['feature']]}."
    small = [BY_NAME[f["feature"]].called for f in features if f["tier"] == "detected"]
    if small:
        yield f"Shifted by more than chance, but too little to matter: {', '.join(small)}."
    if any(f["tier"] == "severe" for f in features):
        yield CHECK_FIRST
    if not any(f["tier"] != "none" for f in features):
        yield f"None of the {len(features)} features differs from training by more than chance."


def _on_mix(mix: MixDrift) -> Iterator[str]:
    if mix["tier"] == "none":
        yield "The mix of segments differs from training by no more than chance."
        return
    training, now = mix["training"], mix["now"]
    order = sorted(training, key=lambda identity: -abs(now[identity] - training[identity]))
    names = mix.get("names", {})
    changes = ", ".join(
        f"{i} ({names.get(i, i)}) {percent(training[i])} → {percent(now[i])}" for i in order[:NAMED_CHANGES]
    )
    meaning = {"detected": "more than chance, but too little to matter"}.get(mix["tier"], mix["tier"])
    yield f"The mix of segments has shifted ({meaning}, index {mix['psi']:.3f}): {changes}."


def _on_distance(distance: DistanceDrift | None) -> Iterator[str]:
    if distance and distance["inflation"] >= INFLATED:
        times = fixed(distance["inflation"], 2)
        yield f"Customers are {times} times as far from what is typical of their segment as in training."
    if distance and distance["beyond_limit"] >= FAR:
        share = f"{percent(distance['beyond_limit'])} of the customers"
        yield f"{share} are farther from every segment than 99.9% of those in training."


EDGES = np.geomspace(1e-3, 1e5, 16_001)
"""Neighbours are 0.12 % apart, so that a median is right within 0.06 %."""


class DistanceHistogram:
    """Counts distances in fine bins; the order in which they come does not matter."""

    def __init__(self) -> None:
        self._counts = np.zeros(len(EDGES) + 1, dtype=np.int64)

    def add(self, distances: Matrix) -> None:
        """Count `distances`, shape (n,)."""
        self._counts += np.bincount(np.searchsorted(EDGES, distances), minlength=len(self._counts))

    def median(self) -> float:
        """Return the (lower) median of at least one distance; those outside of `EDGES` count as the nearest edge."""
        ranks = self._counts.cumsum()
        place = int(np.searchsorted(ranks, (ranks[-1] + 1) // 2))
        below, above = np.clip([place - 1, place], 0, len(EDGES) - 1)
        return float(np.sqrt(EDGES[below] * EDGES[above]))
