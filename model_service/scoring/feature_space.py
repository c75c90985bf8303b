"""Which columns of a customer's row a model's distance uses.

Rows have the columns of the data dictionary (`shared.features.DISTANCE_NAMES`), a model has the features that it was
trained on. The two may differ: a column that said nothing about the training customers was left out of the distance, a
feature may have been added to the dictionary since, or removed from it. `FeatureSpace.spread` brings a model's
parameters to the columns of the dictionary, so that everything that scores and explains has one kind of row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_service.scoring.pipeline import CompiledScorer, Matrix, Parameters
from shared.features import BY_NAME, DISTANCE_NAMES, INPUTS, REQUIRED_NAMES
from shared.model_description import LeftOut


@dataclass(frozen=True, slots=True)
class FeatureSpace:
    """How a model's features lie in the columns of the dictionary.

    Attributes
    ----------
    counts : whether the distance uses each column of the dictionary, shape (n_columns,).
    removed : features of the model that the dictionary does not have; every customer's are taken as missing.
    """

    features: tuple[str, ...]
    counts: NDArray[np.bool_]
    removed: tuple[str, ...]

    @classmethod
    def of(cls, features: Sequence[str]) -> FeatureSpace:
        """Return the space of a model with these features, in the order of its parameters."""
        return cls(
            tuple(features),
            np.array([name in features for name in DISTANCE_NAMES]),
            tuple(name for name in features if name not in DISTANCE_NAMES),
        )

    def scorer(self, parameters: Parameters) -> CompiledScorer:
        """Return the scorer, for rows of the dictionary's columns, of a model with these `parameters`."""
        if self.features == DISTANCE_NAMES:
            return CompiledScorer(parameters)
        gone = [self.features.index(name) for name in self.removed]
        z = (np.log1p(parameters.fill[gone]) - parameters.mean[gone]) / parameters.scale[gone]
        return CompiledScorer(self.spread(parameters), (z - parameters.centroids[:, gone]) ** 2)

    def spread(self, parameters: Parameters) -> Parameters:
        """Return the `parameters` for the dictionary's columns.

        What does not count has an infinite scale: it lies at exactly 0, and so do all centroids.
        """
        columns, k = len(DISTANCE_NAMES), len(parameters.centroids)
        spread = Parameters(np.ones(columns), np.zeros(columns), np.full(columns, np.inf), np.zeros((k, columns)))
        for own, name in enumerate(self.features):
            if name in DISTANCE_NAMES:
                place = DISTANCE_NAMES.index(name)
                spread.fill[place], spread.mean[place] = parameters.fill[own], parameters.mean[own]
                spread.scale[place], spread.centroids[:, place] = parameters.scale[own], parameters.centroids[:, own]
        return spread

    def without_removed(self, rows: Matrix) -> Matrix:
        """Return rows of the model's features, shape (n, n_features), as they come today: the removed ones missing."""
        known = np.array([name not in self.removed for name in self.features])
        return np.where(known, rows, np.nan)

    def place(self, rows: Matrix) -> Matrix:
        """Return rows of the model's features as rows of the dictionary's columns, NaN where it has no value."""
        placed = np.full((len(rows), len(DISTANCE_NAMES)), np.nan)
        for own, name in enumerate(self.features):
            if name in DISTANCE_NAMES:
                placed[:, DISTANCE_NAMES.index(name)] = rows[:, own]
        return placed


def dispensable_inputs(features: Sequence[str], left_out: Sequence[LeftOut]) -> frozenset[str]:
    """Return the inputs of the dictionary that a model does without, as they are younger than it.

    Parameters
    ----------
    features : those of the model's distance.
    left_out : those that its training left out.
    """
    known = {*features, *(left["feature"] for left in left_out)}
    if any(name in BY_NAME and BY_NAME[name].derive for name in known):
        return frozenset()  # a derived feature may be computed from any of them
    return frozenset(f.name for f in INPUTS if f.name not in known)


def required_inputs(features: Sequence[str], left_out: Sequence[LeftOut]) -> list[str]:
    """Return the inputs that no customer may lack; parameters as in `dispensable_inputs`."""
    dispensable = dispensable_inputs(features, left_out)
    return [name for name in REQUIRED_NAMES if name not in dispensable]
