"""Measure `parameters.json` from the real file, once: `python data/fit_parameters.py ../shared/data/cc_general.csv`.

The six segments are those of docs/clustering-study.md, section 4: median imputation, log1p, StandardScaler, K-Means.
Needs the extra ``model`` (scikit-learn, pandas).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from parameters import (
    CELLS,
    FREQUENCIES,
    LEVELS,
    LIMIT_BANDS,
    LIMIT_STEPS,
    NULLABLE,
    POSITIVE,
    SMALL_CELL,
    TABLE,
    TENURE,
    VARIABLES,
    ZERO_MASS,
)
from scipy.special import ndtri
from sklearn.cluster import KMeans
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from shared.features import BY_NAME, DISTANCE_NAMES

FEWEST = 30
"""Quantiles and correlations need this many values; below it the pooled ones, or 0, are stored."""
SMALLEST_SPREAD = 0.3
"""Below it a column is all but constant, and its correlations are noise that must not be blown up."""
WHOLE = 1e-4
"""Frequencies have six decimals, so months computed from them are whole up to this."""


def kmeans_pipeline(k: int, seed: int) -> Pipeline:
    """Return the unfitted pipeline: impute by the median, log1p, standardise, K-Means with `k` clusters."""
    return make_pipeline(
        SimpleImputer(strategy="median"),
        FunctionTransformer(np.log1p),
        StandardScaler(),
        KMeans(k, n_init=10, random_state=seed),
    )


def measure(customers: pd.DataFrame, segments: int = 6) -> dict[str, Any]:
    """Return the parameter table of `customers` (n rows with the input columns), ready for JSON."""
    labels = kmeans_pipeline(segments, 0).fit_predict(customers[list(DISTANCE_NAMES)].to_numpy())
    by_size = np.argsort(-np.bincount(labels))
    return {
        "rows": len(customers),
        "variables": list(VARIABLES),
        "grid": {name: _grid(customers, name) for name in FREQUENCIES},
        "blank": {name: _blank(customers, name) for name in NULLABLE},
        "limit_steps": _limit_steps(customers["CREDIT_LIMIT"].dropna()),
        "segments": [_segment(customers[labels == s], customers) for s in by_size],
    }


def _segment(rows: pd.DataFrame, pooled: pd.DataFrame) -> dict[str, Any]:
    cell = sum(2**i * (rows[name] > 0) for i, name in enumerate(CELLS))
    return {
        "share": round(len(rows) / len(pooled), 4),
        "cells": _shares(np.bincount(np.asarray(cell), minlength=2 ** len(CELLS))),
        "tenure": _shares(np.bincount(rows[TENURE], minlength=int(BY_NAME[TENURE].maximum) + 1)[1:]),
        "zeros": {name: _zero_share(rows[name].dropna()) for name in ZERO_MASS},
        "quantiles": {name: _quantiles(rows[name], pooled[name]) for name in POSITIVE},
        "correlations": _correlations(rows),
    }


def _shares(counts: NDArray[np.int64]) -> list[float]:
    kept = np.where(counts < SMALL_CELL, 0, counts)
    return [round(float(share), 4) for share in kept / kept.sum()]


def _zero_share(values: pd.Series[Any]) -> float:
    zeros = int((values == 0).sum())
    return round(zeros / len(values), 4) if zeros >= SMALL_CELL else 0.0


def _quantiles(values: pd.Series[Any], pooled: pd.Series[Any]) -> list[float]:
    enough = values if (values > 0).sum() >= FEWEST else pooled
    return [float(f"{q:.3g}") for q in np.quantile(enough[enough > 0], LEVELS)]


def _correlations(rows: pd.DataFrame) -> list[float]:
    """Estimate the copula's correlations pair by pair; (d (d - 1) / 2,) below the diagonal.

    Normal scores of a column with ties have a spread below 1 and correlate less than the normals behind them, by
    that factor; it is divided out.
    """
    scores = pd.DataFrame({name: _normal_scores(rows[name]) for name in VARIABLES})
    spread = scores.std().clip(SMALLEST_SPREAD, 1.0).fillna(1.0).to_numpy()
    matrix = scores.corr(min_periods=FEWEST).fillna(0.0).to_numpy() / np.outer(spread, spread)
    return [round(float(r), 2) for r in np.clip(matrix, -0.99, 0.99)[np.tril_indices(len(VARIABLES), -1)]]


def _normal_scores(values: pd.Series[Any]) -> pd.Series[Any]:
    # Zeros count as the lowest rank where the copula decides on them, and not at all where the cell does.
    ranks = (values if values.name in ZERO_MASS else values.where(values > 0)).rank()
    return pd.Series(ndtri((ranks - 0.5) / ranks.count()), index=values.index)


def _grid(customers: pd.DataFrame, name: str) -> list[float]:
    """Share of each denominator TENURE - 0, 1, ... that makes a fraction whole; the largest one that does counts."""
    inside = customers[(customers[name] > 0) & (customers[name] < 1)]
    offsets = np.arange(int(customers[TENURE].min()))
    months = inside[name].to_numpy()[:, None] * (inside[TENURE].to_numpy()[:, None] - offsets)
    whole = np.abs(months - months.round()) < WHOLE
    return _shares(np.bincount(whole.argmax(axis=1)[whole.any(axis=1)], minlength=len(offsets)))


def _blank(customers: pd.DataFrame, name: str) -> float:
    # Without payments there is no minimum payment: those blanks are structural, not a rate.
    open_rows = customers[customers["PAYMENTS"] > 0]
    # Rounded up, so that a blank as rare as that of CREDIT_LIMIT does not vanish.
    return math.ceil(1e4 * open_rows[name].isna().mean()) / 1e4


def _limit_steps(limits: pd.Series[Any]) -> list[list[float]]:
    """Return the (bands, steps) shares of the largest step that divides a limit."""
    band = np.digitize(limits, LIMIT_BANDS) - 1
    step = np.max([i * (limits.to_numpy() % size == 0) for i, size in enumerate(LIMIT_STEPS)], axis=0)
    return [_shares(np.bincount(step[band == b], minlength=len(LIMIT_STEPS))) for b in range(len(LIMIT_BANDS))]


@click.command(help=__doc__)
@click.argument("real_csv", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=TABLE, show_default=True)
def main(real_csv: Path, out: Path) -> None:
    """Write the parameter table of REAL_CSV."""
    table = measure(pd.read_csv(real_csv))
    out.write_text(json.dumps(table, separators=(",", ":")).replace("},{", "},\n{") + "\n", encoding="utf-8")
    click.echo(f"{out}: {out.stat().st_size / 1024:.1f} KiB from {table['rows']:,} customers")


if __name__ == "__main__":
    main()
