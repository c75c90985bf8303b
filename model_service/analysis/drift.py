"""Drift: are the customers of now those that a version was trained on? In constant memory for any number of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from model_service.analysis.distance_histogram import DistanceHistogram
from model_service.analysis.drift_remarks import remarks, too_few, verdict
from model_service.analysis.feature_shift import FeatureShift
from model_service.analysis.stability_index import MIX, chance_limit, contributions, tier
from model_service.artefact import reading
from model_service.manifest import Evidence
from model_service.pipeline import Matrix
from model_service.predictor import DECIMALS, Predictor
from model_service.registry_errors import RegistryError
from model_service.rows import distance_matrix
from shared.features import DERIVED, FEATURES, INPUT_NAMES
from shared.model_contract import DistanceDrift, Drift, MixDrift

MINIMUM_ROWS = 200
"""Below this there is no verdict: of 100 unchanged customers, 96 % have an index above 0.1 somewhere (study, 7)."""

MIX_FALSE_ALARMS = 0.01
"""Probability that the mix of segments of an unchanged population is detected."""


class NoEvidence(RegistryError):
    """The version does not know how its training customers were distributed."""


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
            self._shifts = {f.name: FeatureShift(f, evidence["histograms"][f.name]) for f in FEATURES}
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
        for name, values in _complete(columns).items():
            self._shifts[name].add(values)

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
        changes = {name: shift.largest_change() for name, shift in self._shifts.items()}
        mix, distance = self._mix(), self._distance()
        drift["features"], drift["segment_mix"], drift["distance"] = features, mix, distance
        drift["verdict"] = verdict(features, mix)
        drift["remarks"] = remarks(features, changes, mix, distance)

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
    if evidence is None or not {f.name for f in FEATURES} <= set(evidence["histograms"]):
        detail = "was made before drift could be measured for every feature: retrain"
        raise NoEvidence(f"{predictor.version} {detail}")
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
