"""Putting together what makes a version understandable and comparable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model_service.manifest import Evidence, SegmentEvidence
from model_service.pipeline import Parameters, Scores
from model_service.training.baseline import compare_with_rule
from model_service.training.calibration import Confidence, confidence
from model_service.training.dataset import TrainingData
from model_service.training.histograms import histograms
from model_service.training.members import members
from model_service.training.remarks import find_elbow, remarks
from model_service.training.selection import Selection
from model_service.training.surrogate import RuleSheet, rule_sheet
from model_service.training.work import study_sample
from shared.features import DISTANCE_NAMES

PERCENTILES = np.linspace(0.0, 1.0, 101)


def gather(
    data: TrainingData,
    chosen: Selection,
    scores: Scores,
    calibrated: Confidence,
    ids: Sequence[str],
    seed: int,
) -> Evidence:
    """Describe a fitted model.

    Parameters
    ----------
    scores : of the rows of `data`, in order.
    ids : permanent segment id of each cluster.
    """
    elbow = find_elbow(chosen.scores)
    studied = study_sample(len(data.frame), seed)
    sheet = _rule_sheet(data, Parameters.of(chosen.pipeline), scores, studied)
    numbers = calibrated.calibration
    shown = members(data, scores, confidence(numbers["intercept"], numbers["slope"], scores.margin), ids)
    return Evidence(
        elbow=elbow,
        remarks=remarks(chosen.scores, chosen.k, elbow),
        reliability=calibrated.reliability,
        calibration_error=calibrated.error(),
        fidelity=sheet.fidelity,
        segments={
            ids[c]: SegmentEvidence(rules=sheet.rules[c], typical=shown[c].typical, borderline=shown[c].borderline)
            for c in range(chosen.k)
        },
        histograms=histograms(data.frame),
        distances=np.quantile(scores.distance, PERCENTILES).tolist(),
        baseline=compare_with_rule(data.frame.iloc[studied], scores.nearest[studied]),
    )


def _rule_sheet(data: TrainingData, parameters: Parameters, scores: Scores, studied: NDArray[np.intp]) -> RuleSheet:
    rows = data.distance.iloc[studied].to_numpy()
    filled = np.where(np.isnan(rows), parameters.fill, rows)
    return rule_sheet(filled, DISTANCE_NAMES, scores.nearest[studied], len(parameters.centroids))
