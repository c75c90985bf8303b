"""Generate synthetic customers that behave like the real file, from the aggregates in `parameters.json`.

    python data/generate.py --rows 6000 --seed 1 --out data/sample.csv

The same seed gives the same bytes, and the first rows of a longer file are those of a shorter one. Memory does not
grow with the number of rows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import IO, Any

import click
import numpy as np
from numpy.typing import NDArray
from parameters import (
    ACTIVE_WITH,
    CELLS,
    FREQUENCIES,
    LEVELS,
    LIMIT_BANDS,
    LIMIT_STEPS,
    NULLABLE,
    PARTS,
    POSITIVE,
    TENURE,
    TOTAL,
    VARIABLES,
    Floats,
    ParameterError,
    Parameters,
    Segment,
    load,
)
from scipy.special import ndtr, ndtri
from tqdm import tqdm

from shared.features import BY_NAME, CUST_ID, INPUTS, Kind

Columns = dict[str, Floats]

BLOCK = 10_000
"""Rows drawn at a time; decides memory (about 10 MB), not the output."""
FIRST_ID = 1
KEPT_OVER_LIMIT = 0.24
"""Share of balances above the credit limit that stay there; tuned so that as many do as in the real file (2.5 %)."""

_PURPOSES = (
    "segment",
    "cell",
    *VARIABLES,
    *(f"grid of {name}" for name in FREQUENCIES),
    *(f"blank {name}" for name in NULLABLE),
    "limit step",
    "over limit",
)


def blocks(parameters: Parameters, rows: int, seed: int, block: int = BLOCK) -> Iterator[Columns]:
    """Draw `rows` customers in blocks of at most `block` rows; one array per input column, NaN where blank."""
    generator = np.random.default_rng(seed)
    for start in range(0, rows, block):
        # A row takes a fixed number of uniforms, in order, so that cutting into blocks changes nothing.
        uniforms = generator.random((min(block, rows - start), len(_PURPOSES)))
        np.maximum(uniforms, 2.0**-54, out=uniforms)  # 0 has no finite normal score
        yield _customers(parameters, dict(zip(_PURPOSES, uniforms.T, strict=True)))


def _customers(parameters: Parameters, u: Columns) -> Columns:
    of_segment = _pick(np.array([s.share for s in parameters.segments]), u["segment"])
    drawn = {name: np.zeros(len(of_segment)) for name in VARIABLES}
    for index, segment in enumerate(parameters.segments):
        inside = of_segment == index
        for name, values in _segment_rows(segment, {key: column[inside] for key, column in u.items()}).items():
            drawn[name][inside] = values
    return _consistent(parameters, drawn, u)


def _pick(shares: Floats, u: Floats) -> NDArray[np.int64]:
    edges = np.cumsum(shares)
    return np.searchsorted(edges[:-1] / edges[-1], u, side="right")


def _segment_rows(segment: Segment, u: Columns) -> Columns:
    """Draw the customers of one segment: on/off pattern, then values of what is on, joined by the copula."""
    cell = _pick(segment.cells, u["cell"])
    joint = _copula(segment.factor, u)
    on = {name: (cell >> i) % 2 == 1 for i, name in enumerate(CELLS)}
    for name, mass in segment.zeros.items():
        on[name] = joint[name] >= mass
        joint[name] = np.maximum(0.0, joint[name] - mass) / (1 - mass)
    drawn: Columns = {TENURE: (1 + _pick(segment.tenure, joint[TENURE])).astype(np.float64)}
    for name in POSITIVE:
        active = np.any([on[amount] for amount in ACTIVE_WITH.get(name, (name,))], axis=0)
        drawn[name] = np.where(active, _quantile(name, segment.quantiles[name], joint[name]), 0.0)
    return drawn


def _copula(factor: Floats, u: Columns) -> Columns:
    """Turn independent uniforms into uniforms with the copula's correlations."""
    normal = [ndtri(u[name]) for name in VARIABLES]
    # Sums of columns, not a matrix product: BLAS rounds differently for different numbers of rows.
    return {name: ndtr(sum(factor[i, j] * normal[j] for j in range(i + 1))) for i, name in enumerate(VARIABLES)}


def _quantile(name: str, values: Floats, u: Floats) -> Floats:
    """Return the quantiles at `u`: interpolated, with an exponential tail beyond the largest one stored."""
    if BY_NAME[name].kind is Kind.FREQUENCY:
        return np.interp(u, LEVELS, values).astype(np.float64)
    scale = (values[-1] - values[-2]) / np.log((1 - LEVELS[-2]) / (1 - LEVELS[-1]))
    tail = scale * np.log((1 - LEVELS[-1]) / np.minimum(1 - u, 1 - LEVELS[-1]))
    # Amounts span decades, so between two stored quantiles they are taken as uniform in the logarithm.
    inner = np.exp(np.interp(u, LEVELS, np.log(values)))
    return np.asarray(inner * np.minimum(1.0, u / LEVELS[0]) + tail)


def _consistent(parameters: Parameters, drawn: Columns, u: Columns) -> Columns:
    """Make the columns agree as they do in the real file: grids, identities, structural blanks."""
    for name in FREQUENCIES:
        offset = _pick(parameters.grid[name], u[f"grid of {name}"])
        drawn[name] = _on_grid(drawn[name], np.maximum(1.0, drawn[TENURE] - offset))
    _join_purchases(drawn)
    _round_counts(drawn)
    drawn["CREDIT_LIMIT"] = _round_limit(parameters.limit_steps, drawn["CREDIT_LIMIT"], u["limit step"])
    drawn["BALANCE"] = _pull_back(drawn["BALANCE"], drawn["CREDIT_LIMIT"], u["over limit"])
    _round_amounts(drawn)
    drawn[TOTAL] = np.round(drawn[PARTS[0]] + drawn[PARTS[1]], 2)
    for name in NULLABLE:
        drawn[name][u[f"blank {name}"] < parameters.blank[name]] = np.nan
    drawn["MINIMUM_PAYMENTS"][drawn["PAYMENTS"] == 0] = np.nan
    return drawn


def _on_grid(frequency: Floats, months: Floats) -> Floats:
    """Round to whole months out of `months`, at least one where there was any activity."""
    whole = np.clip(np.round(frequency * months), 1, months)
    return np.where(frequency > 0, np.round(whole / months, 6), 0.0)


def _join_purchases(drawn: Columns) -> None:
    """Make the frequency of purchases that of its only part, or at least that of the more frequent one."""
    oneoff, instalments = drawn["ONEOFF_PURCHASES_FREQUENCY"], drawn["PURCHASES_INSTALLMENTS_FREQUENCY"]
    either = np.maximum(drawn["PURCHASES_FREQUENCY"], np.maximum(oneoff, instalments))
    drawn["PURCHASES_FREQUENCY"] = np.where(instalments > 0, either, oneoff)


def _round_counts(drawn: Columns) -> None:
    """Make counts whole, and not fewer than the months in which there was a transaction."""
    for name in POSITIVE:
        if BY_NAME[name].kind is Kind.COUNT:
            drawn[name] = np.where(drawn[name] > 0, np.maximum(1.0, np.round(drawn[name])), 0.0)
    for activity in (TOTAL, "CASH_ADVANCE"):
        months = np.round(drawn[f"{activity}_FREQUENCY"] * drawn[TENURE])
        drawn[f"{activity}_TRX"] = np.maximum(drawn[f"{activity}_TRX"], months)


def _round_limit(step_shares: Floats, limit: Floats, u: Floats) -> Floats:
    """Round to as round a number as limits of that size are; `step_shares` is (bands, steps)."""
    band = np.digitize(limit, LIMIT_BANDS) - 1
    picked = np.select([band == b for b in range(len(LIMIT_BANDS))], [_pick(shares, u) for shares in step_shares])
    step = np.array(LIMIT_STEPS)[picked]
    return np.asarray(np.maximum(1.0, np.round(limit / step)) * step)


def _pull_back(balance: Floats, limit: Floats, u: Floats) -> Floats:
    """Move balances above the limit to just below it, and a few to just above, as banks do."""
    above = 1 - 0.06 * np.log(np.maximum(u, 1e-9) / KEPT_OVER_LIMIT)
    below = 1 - 0.1 * (u - KEPT_OVER_LIMIT)
    return np.where(balance > limit, limit * np.where(u < KEPT_OVER_LIMIT, above, below), balance)


def _round_amounts(drawn: Columns) -> None:
    for name in POSITIVE:
        if BY_NAME[name].kind is Kind.AMOUNT:
            cents = np.maximum(0.01, np.round(drawn[name], 2))
            drawn[name] = np.where(drawn[name] > 0, cents, 0.0)


def write(parameters: Parameters, rows: int, seed: int, out: IO[str], block: int = BLOCK) -> None:
    """Write `rows` generated customers to `out` as CSV, with progress on a terminal."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([CUST_ID, *(f.name for f in INPUTS)])
    first = FIRST_ID
    with tqdm(total=rows, unit=" customers", unit_scale=True, disable=None) as progress:
        for columns in blocks(parameters, rows, seed, block):
            texts = [_texts(columns[f.name]) for f in INPUTS]
            n = len(texts[0])
            writer.writerows(zip((f"S{i:05}" for i in range(first, first + n)), *texts, strict=True))
            first += n
            progress.update(n)


def _texts(column: Floats) -> list[Any]:
    """Return the column as the real file writes it: blank for none, no decimals where there are none."""
    return [None if value != value else int(value) if value == int(value) else value for value in column.tolist()]


@click.command(help=__doc__)
@click.option("--rows", type=click.IntRange(min=1), default=6000, show_default=True, help="How many customers.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The same seed, the same bytes.")
@click.option("--out", type=click.File("w", lazy=True), required=True, help="CSV file, or - for stdout.")
def main(rows: int, seed: int, out: IO[str]) -> None:
    """Write the CSV."""
    try:
        parameters = load()
    except ParameterError as error:
        raise click.ClickException(str(error)) from error
    write(parameters, rows, seed, out)


if __name__ == "__main__":
    main()
