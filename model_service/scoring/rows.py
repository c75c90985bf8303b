"""From validated input columns to the matrix that the model scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from model_service.scoring.pipeline import Matrix
from shared.features import DERIVED, DISTANCE_NAMES, INPUTS, Feature

_DERIVED_IN_DISTANCE = tuple(f for f in DERIVED if f.in_distance)


def distance_matrix(columns: Mapping[str, Matrix]) -> Matrix:
    """Stack the columns that take part in the distance, computing derived ones.

    Parameters
    ----------
    columns : a float64 array of shape (n,) for every input feature, in its unit, NaN for missing.

    Returns
    -------
    float64, shape (n, n_features), in the order of `shared.features.DISTANCE_NAMES`.
    """
    complete = dict(columns)
    for feature in _DERIVED_IN_DISTANCE:
        complete[feature.name] = np.array([_derived(feature, row) for row in _rows(columns)], dtype=np.float64)
    return np.stack([complete[name] for name in DISTANCE_NAMES], axis=1)


def distance_row(customer: Mapping[str, float | None]) -> Matrix:
    """Return one customer's row, shape (n_features,), in the order of DISTANCE_NAMES; NaN where `customer` has None."""
    values = dict(customer)
    for feature in _DERIVED_IN_DISTANCE:
        values[feature.name] = _derived(feature, customer)
    return np.array([values[name] for name in DISTANCE_NAMES], dtype=np.float64)


_REQUIRED = tuple(f.name for f in INPUTS if not f.nullable)


def _derived(feature: Feature, customer: Mapping[str, float | None]) -> float | None:
    """Return a derived feature; None where an input that it may need is missing, as the model is older than that."""
    assert feature.derive is not None
    return None if any(customer[name] is None for name in _REQUIRED) else feature.derive(customer)


def _rows(columns: Mapping[str, Matrix]) -> list[dict[str, float | None]]:
    lists = [[None if np.isnan(v) else v for v in columns[f.name].tolist()] for f in INPUTS]
    return [dict(zip((f.name for f in INPUTS), values, strict=True)) for values in zip(*lists, strict=True)]
