"""What the plots of a version are drawn from: its training rows, scored, and how they compare with its parent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from model_service.analysis.drift import DriftCounter
from model_service.analysis.preview import PreviewCounter
from model_service.report.style import SegmentStyle, segment_styles
from model_service.scoring.pipeline import Clusters, CompiledScorer, Matrix, Parameters
from model_service.scoring.predictor import Predictor
from model_service.store.artefact import LoadedModel
from model_service.store.manifest import Manifest, StoredSegment
from model_service.training.dataset import TrainingData
from model_service.training.segments import with_utilisation
from shared.features import DISTANCE_NAMES, INPUT_NAMES
from shared.model_contract import Drift, Preview

MAX_ROWS = 20_000
"""Most rows that are drawn; of more, a sample with a fixed seed is."""


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Training rows with their segments.

    Attributes
    ----------
    segments : of the model, in the manifest's order.
    styles : by segment id.
    frame : a column per feature, in its unit, and utilisation; NaN for missing; shape (n_rows, n_features + 1).
    z : in standardised log space, shape (n_rows, n_distance_features).
    labels : index into `segments` of each row, shape (n_rows,).
    centroids : of `segments`, in standardised log space, shape (k, n_distance_features).
    """

    segments: list[StoredSegment]
    styles: dict[str, SegmentStyle]
    frame: pd.DataFrame
    z: Matrix
    labels: Clusters
    centroids: Matrix

    def sample(self, rows: int) -> Clusters:
        """Return the indices of at most so many rows, always the same ones, in random order."""
        return np.random.default_rng(0).permutation(len(self.z))[:rows]


def score_rows(manifest: Manifest, data: TrainingData) -> ScoredRows:
    """Score the rows of `data`, or a sample of them, by the model of `manifest`."""
    parameters = Parameters.from_json(manifest["parameters"])
    frame = data.frame if len(data.frame) <= MAX_ROWS else data.frame.sample(MAX_ROWS, random_state=0)
    rows = frame[list(DISTANCE_NAMES)].to_numpy()
    clusters = [s["cluster"] for s in manifest["segments"]]
    position = np.empty(len(clusters), dtype=np.intp)
    position[clusters] = np.arange(len(clusters))
    return ScoredRows(
        segments=manifest["segments"],
        styles=segment_styles(s["id"] for s in manifest["segments"]),
        frame=with_utilisation(frame),
        z=parameters.standardise(rows),
        labels=position[CompiledScorer(parameters).score(rows).nearest],
        centroids=parameters.centroids[clusters],
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """How customers and their segments differ from the parent's; ``drift`` is None if the parent has no evidence."""

    preview: Preview
    drift: Drift | None


def compare(manifest: Manifest, rows: ScoredRows, parent: Manifest | None) -> Comparison | None:
    """Compare with `parent`; None without one, or if its features are others."""
    if parent is None or parent["features"] != manifest["features"]:
        return None
    columns = {name: rows.frame[name].to_numpy(dtype=np.float64) for name in INPUT_NAMES}
    before = _predictor(parent)
    preview = PreviewCounter(before, _predictor(manifest))
    preview.add(columns)
    if "evidence" not in parent:
        return Comparison(preview.result(manifest["created_at"]), None)
    drift = DriftCounter(before)
    drift.add(columns)
    return Comparison(preview.result(manifest["created_at"]), drift.result(manifest["created_at"]))


def _predictor(manifest: Manifest) -> Predictor:
    return Predictor(LoadedModel(manifest, CompiledScorer(Parameters.from_json(manifest["parameters"]))))
