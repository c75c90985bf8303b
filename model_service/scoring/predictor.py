"""Predictions in the shapes of the wire contract, from one loaded model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

from model_service.scoring.explanation import Explainer
from model_service.scoring.feature_space import FeatureSpace, dispensable_inputs, required_inputs
from model_service.scoring.move import Changes, MoveExplainer
from model_service.scoring.pipeline import Matrix, Scores
from model_service.store.artefact import LoadedModel
from model_service.store.errors import SegmentNotFound
from model_service.store.labels import Labels, displayed_name
from shared.contract import BORDERLINE, ColumnarAnswer, MoveExplanation, Prediction, SegmentRef
from shared.features import DISTANCE_NAMES
from shared.findings import Finding, outside_training_range
from shared.model_description import Range

DECIMALS = 6
"""Digits given after the point. One row and a batch add up in different orders and differ around the fifteenth."""


_ANY = Range(low=-math.inf, high=math.inf)
"""Of a feature that is no part of the distance."""


class Predictor:
    """Scores customers with one model version. Assumes faultless rows: validation happened at the edge.

    Parameters
    ----------
    labels : what people call the segments, by segment id.
    currency : of the amounts in explanations, a code in ISO 4217; none unless given.

    Attributes
    ----------
    dispensable : inputs that this version does without, as they are younger than it: they may be missing.
    required : inputs that no customer may lack.
    removed : features of this version that the data dictionary does not have any more; taken as missing for everybody.
    """

    def __init__(self, model: LoadedModel, labels: Labels = MappingProxyType({}), currency: str = "") -> None:
        manifest = model.manifest
        self.model = model
        self.labels = labels
        self.currency = currency
        self.version = model.version
        self.manifest = manifest
        self._scorer = model.scorer
        by_cluster = sorted(manifest["segments"], key=lambda s: s["cluster"])
        if [s["cluster"] for s in by_cluster] != list(range(manifest["k"])):
            raise ValueError("the segments are not the model's clusters")
        self._refs = [SegmentRef(id=s["id"], name=displayed_name(s, labels)) for s in by_cluster]
        self._intercept = float(manifest["calibration"]["intercept"])
        self._slope = float(manifest["calibration"]["slope"])
        space = FeatureSpace.of(manifest["features"])
        known = dict.fromkeys(DISTANCE_NAMES, _ANY) | {f: manifest["ranges"][f] for f in manifest["features"]}
        ranges = [(known | manifest["ranges"])[name] for name in DISTANCE_NAMES]
        self._low = np.array([values["low"] for values in ranges])
        self._high = np.array([values["high"] for values in ranges])
        self._counts = space.counts
        self.removed = space.removed
        told = manifest["features"], manifest.get("left_out", [])
        self.dispensable, self.required = dispensable_inputs(*told), required_inputs(*told)
        self._distance_limit = float(manifest["distance_limit"])
        self._clusters = {ref["id"]: cluster for cluster, ref in enumerate(self._refs)}
        self._explainer = Explainer(model.scorer, self._low, self._high, space, currency)
        self._moves = MoveExplainer(model.scorer, space, currency)

    def predict_one(self, row: Matrix) -> Prediction:
        """Predict one row, shape (n_features,) in the order of DISTANCE_NAMES, NaN for missing."""
        cluster, rival, distance, margin = self._scorer.score_one(row)
        confidence = 1.0 / (1.0 + math.exp(-self._intercept - self._slope * margin))
        rounded = (round(value, DECIMALS) for value in (distance, margin, confidence))
        prediction = self._prediction(cluster, rival, *rounded)
        self._remark(prediction, row)
        return prediction

    def predict_batch(self, rows: Matrix) -> list[Prediction]:
        """Predict rows, shape (n, n_features)."""
        if not len(rows):
            return []
        scores, confidence = self._score(rows)
        lists = [values.tolist() for values in (*scores, confidence)]
        predictions = list(map(self._prediction, *lists))
        usual = ((rows >= self._low) & (rows <= self._high)).all(axis=1) & (scores.distance <= self._distance_limit)
        for i in np.flatnonzero(~usual).tolist():  # also those with missing values, as NaN compares false
            self._remark(predictions[i], rows[i])
        return predictions

    def explain(self, predictions: Sequence[Prediction], rows: Matrix) -> None:
        """Add an explanation to each of the `predictions` of `rows`, shape (n, n_features)."""
        own = np.array([p["cluster"] for p in predictions], dtype=np.intp)
        rival = np.array([self._clusters[p["rival"]["id"]] for p in predictions if p["rival"]], dtype=np.intp)
        explanations = self._explainer.explain(rows, own, rival, predictions)
        for prediction, explanation in zip(predictions, explanations, strict=True):
            prediction["explanation"] = explanation

    def explain_move(self, origin: str, destination: str, changes: Changes) -> MoveExplanation:
        """Say why a customer that had these changes moved from the segment `origin` to the segment `destination`.

        Raises
        ------
        SegmentNotFound
        """
        clusters = self._cluster(origin), self._cluster(destination)
        segments = self._refs[clusters[0]], self._refs[clusters[1]]
        return self._moves.explain(self.version, segments, clusters, changes)

    def _cluster(self, segment_id: str) -> int:
        try:
            return self._clusters[segment_id]
        except KeyError as error:
            raise SegmentNotFound(f"Model version {self.version} has no segment {segment_id!r}.") from error

    def score_columns(self, rows: Matrix) -> ColumnarAnswer:
        """Score rows, shape (n, n_features), into the columnar answer."""
        scores, confidence = self._score(rows)
        return ColumnarAnswer(
            model_version=self.version,
            segments=self._refs,
            cluster=scores.nearest.tolist(),
            rival=scores.rival.tolist(),
            confidence=confidence.tolist(),
            distance=scores.distance.tolist(),
            margin=scores.margin.tolist(),
        )

    def _score(self, rows: Matrix) -> tuple[Scores, Matrix]:
        """Return the rounded scores and confidences of rows."""
        scores = self._scorer.score(rows)
        confidence = 1.0 / (1.0 + np.exp(-self._intercept - self._slope * scores.margin))
        rounded = scores._replace(distance=scores.distance.round(DECIMALS), margin=scores.margin.round(DECIMALS))
        return rounded, confidence.round(DECIMALS)

    def _prediction(self, cluster: int, rival: int, distance: float, margin: float, confidence: float) -> Prediction:
        # Plain arguments and a dict display: this runs once for every row of a batch.
        return {
            "segment": self._refs[cluster],
            "cluster": cluster,
            "confidence": confidence,
            "borderline": confidence < BORDERLINE,
            "rival": self._refs[rival],
            "distance": distance,
            "margin": margin,
            "model_version": self.version,
            "imputed": [*self.removed],
            "warnings": [],
        }

    def _remark(self, prediction: Prediction, row: Matrix) -> None:
        """Note in `prediction` what is imputed and what is unusual about its row."""
        missing = np.isnan(row) & self._counts
        if missing.any():
            prediction["imputed"] += [DISTANCE_NAMES[i] for i in np.flatnonzero(missing).tolist()]
        outside = (row < self._low) | (row > self._high)  # false for NaN
        if outside.any() or prediction["distance"] > self._distance_limit:
            prediction["warnings"] = self._warnings(np.flatnonzero(outside).tolist(), prediction["distance"])

    def _warnings(self, outside: list[int], distance: float) -> list[Finding]:
        found = [outside_training_range(DISTANCE_NAMES[i], self._low[i], self._high[i]) for i in outside]
        if distance > self._distance_limit:
            nearest = f"(the nearest is at distance {distance:.2f})"
            detail = f"The customer is farther from every segment than 99.9% of the training customers {nearest}"
            found.append(Finding(pointer="", code="far_from_all_segments", detail=detail))
        return found
