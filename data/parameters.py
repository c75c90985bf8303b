"""What the sample generator knows about the real customers: a table of aggregates, and how its columns depend.

`fit_parameters.py` measures the table, `generate.py` draws from it. It holds shares, quantiles of three significant
digits and correlations of two decimals; no row of the real file, and no share that fewer than `SMALL_CELL` customers
make up.

Method: docs/clustering-study.md, section 9 (Gaussian copula per K-Means segment).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.features import INPUTS, Kind

Floats = NDArray[np.float64]

TABLE = Path(__file__).with_name("parameters.json")

SMALL_CELL = 10
"""Shares that fewer customers than this make up are stored as 0."""

LEVELS = (0.005, 0.02, 0.05, 0.1, 0.17, 0.25, 0.33, 0.42, 0.5, 0.58, 0.67, 0.75, 0.83, 0.9, 0.95, 0.98, 0.995)
"""Probabilities at which quantiles are stored: 17, denser in the tails."""

TOTAL = "PURCHASES"
PARTS = ("ONEOFF_PURCHASES", "INSTALLMENTS_PURCHASES")
TENURE = "TENURE"
CELLS = (*PARTS, "CASH_ADVANCE")
"""Activities whose on/off pattern (8 cells) is drawn first; bit i of the cell's index is activity i."""

ACTIVE_WITH: Mapping[str, tuple[str, ...]] = {
    "BALANCE_FREQUENCY": ("BALANCE",),
    "ONEOFF_PURCHASES_FREQUENCY": ("ONEOFF_PURCHASES",),
    "PURCHASES_INSTALLMENTS_FREQUENCY": ("INSTALLMENTS_PURCHASES",),
    "PURCHASES_FREQUENCY": PARTS,
    "PURCHASES_TRX": PARTS,
    "CASH_ADVANCE_FREQUENCY": ("CASH_ADVANCE",),
    "CASH_ADVANCE_TRX": ("CASH_ADVANCE",),
}
"""Columns that are above zero exactly where one of the named amounts is."""

VARIABLES = tuple(f.name for f in INPUTS if f.name != TOTAL)
"""Columns the copula draws, in its order: all but the total, which is the sum of its parts."""
POSITIVE = tuple(name for name in VARIABLES if name != TENURE)
"""Columns with quantiles of their non-zero part; the months have a table instead."""
ZERO_MASS = tuple(name for name in POSITIVE if name not in CELLS and name not in ACTIVE_WITH)
"""Columns whose share of zeros depends on nothing drawn before."""
FREQUENCIES = tuple(f.name for f in INPUTS if f.kind is Kind.FREQUENCY)
NULLABLE = tuple(f.name for f in INPUTS if f.nullable)

LIMIT_STEPS = (50, 100, 500, 1000)
"""Credit limits are multiples of these, in currency units."""
LIMIT_BANDS = (0, 1000, 3000, 10_000)
"""Lower edges of the bands of credit limits that differ in how round they are, in currency units."""


class ParameterError(Exception):
    """The parameter table does not fit the data dictionary."""


@dataclass(frozen=True)
class Segment:
    """What is known of one K-Means segment.

    Attributes
    ----------
    share : share of all customers.
    cells : (8,) shares of the on/off patterns of `CELLS`.
    tenure : (months,) shares of TENURE = 1, 2, ...
    zeros : share of zeros of each column in `ZERO_MASS`.
    quantiles : (17,) quantiles of the non-zero part of each column in `POSITIVE`, in its unit.
    factor : (d, d) lower Cholesky factor of the copula's correlations, in the order of `VARIABLES`.
    """

    share: float
    cells: Floats
    tenure: Floats
    zeros: Mapping[str, float]
    quantiles: Mapping[str, Floats]
    factor: Floats


@dataclass(frozen=True)
class Parameters:
    """The whole table.

    Attributes
    ----------
    segments : one entry per segment.
    grid : for each frequency, shares of the denominators TENURE, TENURE - 1, ... of its fractions.
    blank : for each nullable column, the share of blanks among rows that are not blank for a structural reason.
    limit_steps : (bands, steps) shares of the roundness of credit limits, see `LIMIT_BANDS` and `LIMIT_STEPS`.
    """

    segments: tuple[Segment, ...]
    grid: Mapping[str, Floats]
    blank: Mapping[str, float]
    limit_steps: Floats


def load(path: Path = TABLE) -> Parameters:
    """Read the parameter table.

    Raises
    ------
    ParameterError
        when it was fitted for other columns than the data dictionary has now.
    """
    table = json.loads(path.read_text(encoding="utf-8"))
    if table["variables"] != list(VARIABLES):
        raise ParameterError(f"{path} was fitted for other columns; run data/fit_parameters.py on the real file again")
    return Parameters(
        segments=tuple(_segment(s) for s in table["segments"]),
        grid={name: np.array(shares) for name, shares in table["grid"].items()},
        blank=table["blank"],
        limit_steps=np.array(table["limit_steps"]),
    )


def _segment(stored: Mapping[str, Any]) -> Segment:
    return Segment(
        share=stored["share"],
        cells=np.array(stored["cells"]),
        tenure=np.array(stored["tenure"]),
        zeros=stored["zeros"],
        quantiles={name: np.array(values) for name, values in stored["quantiles"].items()},
        factor=cholesky(np.array(stored["correlations"])),
    )


def cholesky(triangle: Floats) -> Floats:
    """Return the Cholesky factor of the correlation matrix nearest to the stored one.

    Parameters
    ----------
    triangle : (d (d - 1) / 2,) correlations below the diagonal, row by row. Pairwise estimates, rounded to two
        decimals, need not form a positive definite matrix: eigenvalues are clipped and the diagonal set back to 1.
    """
    d = len(VARIABLES)
    matrix = np.eye(d)
    matrix[np.tril_indices(d, -1)] = triangle
    values, vectors = np.linalg.eigh(matrix)  # reads the lower triangle only
    clipped = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = np.sqrt(np.diag(clipped))
    return np.linalg.cholesky(clipped / np.outer(scale, scale))
