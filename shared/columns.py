"""Validation of many customers at once, column by column, by the same hard rules as one customer's JSON."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from shared.features import Feature

Column = NDArray[np.float64]
Rows = NDArray[np.bool_]
"""Which rows of a column, shape (n_rows,)."""


def column_faults(values: Column, feature: Feature) -> Iterator[tuple[int, str]]:
    """Yield (row index, what is wrong) for every value that breaks a hard rule of `feature`.

    Parameters
    ----------
    values : float64, shape (n_rows,), in the feature's unit; NaN stands for null.
    """
    null = np.isnan(values)
    bad = (values < feature.minimum) | (values > feature.maximum)
    if feature.exclusive_minimum:
        bad |= values == feature.minimum
    if feature.whole:
        bad |= values != np.floor(values)
    bad = bad & ~null if feature.nullable else bad | null
    for row in np.flatnonzero(bad).tolist():
        # The scalar rule words the message, so that both ways of checking cannot drift apart.
        fault = feature.fault(None if null[row] else values[row].item())
        assert fault is not None
        yield row, fault


def stored_column(values: Column, feature: Feature) -> list[float | int | None]:
    """Return a faultless column in stored form: ints for whole kinds, None for NaN; shape (n_rows,)."""
    null = np.isnan(values)
    clean = np.where(null, 0.0, values) + 0.0  # turns -0.0 into 0.0
    stored: list[float | int | None] = (clean.astype(np.int64) if feature.whole else clean).tolist()
    for row in np.flatnonzero(null).tolist():
        stored[row] = None
    return stored
