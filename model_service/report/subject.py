"""What the plots and the page of a version are made from: its manifest, its figures, and the names of its segments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from model_service.scoring.feature_space import FeatureSpace
from model_service.scoring.pipeline import Clusters, CompiledScorer, Matrix, Parameters
from model_service.scoring.predictor import Predictor
from model_service.store.artefact import LoadedModel
from model_service.store.manifest import Manifest, StoredSegment
from model_service.training.dataset import TrainingData
from model_service.training.segments import with_utilisation

MAX_ROWS = 20_000
"""Most rows that are drawn; of more, a sample with a fixed seed is."""


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Training rows with their segments.

    Attributes
    ----------
    segments : of the model, in the manifest's order.
    frame : a column per feature, in its unit, and utilisation; NaN for missing; shape (n_rows, n_features + 1).
    z : in standardised log space, shape (n_rows, n_distance_features).
    labels, rivals : indices into `segments` of each row's segment and of its rival, shape (n_rows,).
    margin : how much farther the rival's centroid is, shape (n_rows,).
    centroids : of `segments`, in standardised log space, shape (k, n_distance_features).
    """

    segments: list[StoredSegment]
    frame: pd.DataFrame
    z: Matrix
    labels: Clusters
    rivals: Clusters
    margin: Matrix
    centroids: Matrix

    def sample(self, rows: int) -> Clusters:
        """Return the indices of at most so many rows, always the same ones, in random order."""
        return np.random.default_rng(0).permutation(len(self.z))[:rows]


def score_rows(manifest: Manifest, data: TrainingData) -> ScoredRows:
    """Score the rows of `data`, or a sample of them, by the model of `manifest`."""
    parameters = Parameters.from_json(manifest["parameters"])
    frame = data.frame if len(data.frame) <= MAX_ROWS else data.frame.sample(MAX_ROWS, random_state=0)
    rows = frame[list(manifest["features"])].to_numpy()
    clusters = [s["cluster"] for s in manifest["segments"]]
    position = np.empty(len(clusters), dtype=np.intp)
    position[clusters] = np.arange(len(clusters))
    scores = CompiledScorer(parameters).score(rows)
    return ScoredRows(
        segments=manifest["segments"],
        frame=with_utilisation(frame),
        z=parameters.standardise(rows),
        labels=position[scores.nearest],
        rivals=position[scores.rival],
        margin=scores.margin,
        centroids=parameters.centroids[clusters],
    )


def predictor(manifest: Manifest, currency: str = "") -> Predictor:
    """Return a predictor of the model of `manifest`, which names the segments by rule."""
    scorer = FeatureSpace.of(manifest["features"]).scorer(Parameters.from_json(manifest["parameters"]))
    return Predictor(LoadedModel(manifest, scorer), currency=currency)
