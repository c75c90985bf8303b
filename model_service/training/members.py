"""Customers that stand for a segment, and customers that hardly belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model_service.pipeline import Matrix, Scores
from model_service.training.dataset import TrainingData
from shared.model_description import Member

SHOWN = 5


class Members(NamedTuple):
    """The customers nearest to the centroid, nearest first, and those least sure to stay, least sure first."""

    typical: list[Member]
    borderline: list[Member]


def members(data: TrainingData, scores: Scores, confidence: Matrix, ids: Sequence[str]) -> list[Members]:
    """Pick up to `SHOWN` typical and borderline members of each cluster.

    Parameters
    ----------
    scores : of the rows of `data`; arrays of shape (n_rows,).
    confidence : of each row, 0 to 1, shape (n_rows,).
    ids : permanent segment id of each cluster.
    """

    def described(row: int) -> Member:
        values = data.frame.iloc[row]
        return Member(
            line=None if data.lines is None else int(data.lines[row]),
            confidence=float(confidence[row]),
            distance=float(scores.distance[row]),
            rival=ids[scores.rival[row]],
            values={str(name): None if np.isnan(value) else float(value) for name, value in values.items()},
        )

    found = []
    for cluster in range(len(ids)):
        inside = np.flatnonzero(scores.nearest == cluster)
        nearest, unsure = (
            inside[np.argsort(by[inside], kind="stable")[:SHOWN]] for by in (scores.distance, scores.margin)
        )
        found.append(Members(*([described(row) for row in rows.tolist()] for rows in (nearest, unsure))))
    return found
