"""A new version beside its parent, on the new version's training customers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_service.analysis.drift import DriftCounter
from model_service.analysis.preview import PreviewCounter
from model_service.artefact import LoadedModel
from model_service.manifest import Manifest
from model_service.pipeline import CompiledScorer, Parameters
from model_service.predictor import Predictor
from model_service.report.scored_rows import ScoredRows
from shared.features import INPUT_NAMES
from shared.model_contract import Drift, Preview


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
