"""Measure how close the sample is to the real file: `python data/fidelity.py ../shared/data/cc_general.csv`.

Prints the tables that stand in `data/README.md`; ``--write`` puts them there. Takes about a minute on one core.
Needs the extra ``model`` (scikit-learn, pandas).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pandas as pd
from fit_parameters import kmeans_pipeline
from numpy.typing import NDArray
from parameters import Floats
from readme import update
from scipy.optimize import linear_sum_assignment
from scipy.stats import ks_2samp
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, confusion_matrix
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from tqdm import tqdm

from shared.features import DISTANCE_NAMES, INPUTS

SAMPLE = Path(__file__).with_name("sample.csv")
Labels = NDArray[np.int64]
NAMES = [f.name for f in INPUTS]

CANDIDATES = range(3, 9)
STABLE = 0.85
SMALLEST = 0.05
"""The k rule: the largest k in `CANDIDATES` with at least this stability and this share in its smallest segment."""
SPLITS = 12
FOLDS = StratifiedKFold(5, shuffle=True, random_state=0)


class Score(NamedTuple):
    """Of one k: mean ARI between fits on disjoint halves, and the share of the smallest segment (both 0-1)."""

    k: int
    stability: float
    smallest: float


def scores(customers: pd.DataFrame, seed: int = 0) -> list[Score]:
    """Score every k in `CANDIDATES` on all rows of `customers`.

    Stability as in docs/clustering-study.md, section 2: whole pipelines fitted on disjoint halves label all rows.
    """
    random = np.random.default_rng(seed)
    rows = _matrix(customers)
    halves = [np.array_split(random.permutation(len(rows)), 2) for _ in range(SPLITS)]
    return [_score(rows, k, halves) for k in tqdm(CANDIDATES, desc="scoring k", disable=None)]


def _matrix(customers: pd.DataFrame) -> Floats:
    return customers[list(DISTANCE_NAMES)].to_numpy(dtype=np.float64)


def _score(rows: Floats, k: int, halves: list[list[Labels]]) -> Score:
    agreement = [adjusted_rand_score(*(_labels(rows[half], rows, k) for half in pair)) for pair in halves]
    sizes = np.bincount(_labels(rows, rows, k))
    return Score(k, float(np.mean(agreement)), float(sizes.min() / sizes.sum()))


def _labels(train: Floats, rows: Floats, k: int) -> Labels:
    labels: Labels = kmeans_pipeline(k, 0).fit(train).predict(rows)
    return labels


def chosen(table: list[Score]) -> Score:
    """Return the score of the k that the rule picks.

    Raises
    ------
    ValueError
        when no k meets the rule.
    """
    return max(s for s in table if s.stability >= STABLE and s.smallest >= SMALLEST)


def choice_table(sample: list[Score], real: list[Score]) -> str:
    """Return what the k rule saw in both files, as Markdown; the k it picks is bold."""
    lines = ["| k | stability, sample | real | smallest share, sample | real |", "|---|---|---|---|---|"]
    picked = [chosen(sample).k, chosen(real).k]
    for row in zip(sample, real, strict=True):
        stability = [f"{s.stability:.3f}" for s in row]
        bold = [f"**{text}**" if s.k == k else text for text, s, k in zip(stability, row, picked, strict=True)]
        cells = [str(row[0].k), *bold, *(f"{s.smallest:.1%}" for s in row)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def column_table(sample: pd.DataFrame, real: pd.DataFrame) -> str:
    """Return the Kolmogorov-Smirnov distance per column (0 = same distribution), with zeros and blanks, as Markdown."""
    distances = ks(sample, real)
    lines = ["| column | KS | zeros, sample | real | blank, sample | real |", "|---|---|---|---|---|---|"]
    for name, distance in distances.items():
        pair = (sample[name], real[name])
        cells = [f"{(c == 0).mean():.1%}" for c in pair] + [f"{c.isna().mean():.1%}" for c in pair]
        lines.append(f"| `{name}` | {distance:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ks(one: pd.DataFrame, other: pd.DataFrame) -> dict[str, float]:
    """Return the two-sample Kolmogorov-Smirnov distance of every input column, blanks left out."""
    return {n: float(ks_2samp(one[n].dropna(), other[n].dropna()).statistic) for n in NAMES}


def summary_table(sample: pd.DataFrame, real: pd.DataFrame, k: int) -> str:
    """Return the figures about whole rows and models, as Markdown; `k` is that of both models compared."""
    figures = {**_marginals(sample, real), **_rank_correlations(sample, real), **_models(sample, real, k)}
    figures |= {**_copies(sample, real), **_detection(sample, real)}
    return "\n".join(
        ["| measure | value |", "|---|---|", *(f"| {what} | {value} |" for what, value in figures.items())]
    )


def _marginals(sample: pd.DataFrame, real: pd.DataFrame) -> dict[str, str]:
    mean = float(np.mean(list(ks(sample, real).values())))
    half = real.sample(frac=0.5, random_state=0)
    floor = float(np.mean(list(ks(half, real.drop(half.index)).values())))
    return {"KS, mean over columns (two halves of the real file)": f"{mean:.3f} ({floor:.3f})"}


def _rank_correlations(sample: pd.DataFrame, real: pd.DataFrame) -> dict[str, str]:
    error = (sample.corr("spearman") - real.corr("spearman")).abs().to_numpy()
    one, other = np.unravel_index(error.argmax(), error.shape)
    pairs = error[np.tril_indices(len(NAMES), -1)]
    where = f"`{NAMES[int(one)]}`, `{NAMES[int(other)]}`"
    return {
        "Spearman correlations, mean absolute error": f"{pairs.mean():.3f}",
        "Spearman correlations, largest absolute error": f"{pairs.max():.3f} ({where})",
    }


def _models(sample: pd.DataFrame, real: pd.DataFrame, k: int) -> dict[str, str]:
    ours, theirs = (_labels(_matrix(train), _matrix(real), k) for train in (sample, real))
    table = confusion_matrix(theirs, ours)
    same = table[linear_sum_assignment(-table)].sum() / table.sum()
    return {
        f"ARI on the real rows, model of the sample against model of the real file (k = {k})": (
            f"{adjusted_rand_score(theirs, ours):.3f}"
        ),
        "Real rows that both models put into the same segment": f"{same:.1%}",
    }


def _copies(sample: pd.DataFrame, real: pd.DataFrame) -> dict[str, str]:
    """Compare each row's distance to its nearest real row with that of real rows to their nearest other one."""
    to_space = kmeans_pipeline(1, 0)[:-1].fit(_matrix(real))
    near = NearestNeighbors().fit(to_space.transform(_matrix(real)))
    ours = near.kneighbors(to_space.transform(_matrix(sample)), 1)[0][:, 0]
    theirs = near.kneighbors(n_neighbors=1)[0][:, 0]
    return {
        # The sample has cents, the real file six decimals: unrounded, no row could ever be equal.
        "Rows equal to a real one, to the cent": str(len(sample.round(2).merge(real.round(2), on=NAMES))),
        "Median distance to the nearest real row, against real to real": f"{np.median(ours) / np.median(theirs):.2f} ×",
    }


def _detection(sample: pd.DataFrame, real: pd.DataFrame) -> dict[str, str]:
    """Train classifiers to tell the two files apart: AUC 0.5 = cannot, 1 = always."""
    rows = pd.concat([sample, real], ignore_index=True)
    is_real = np.repeat([0, 1], [len(sample), len(real)])
    linear = make_pipeline(*kmeans_pipeline(1, 0)[:-1], LogisticRegression())
    trees = HistGradientBoostingClassifier(random_state=0)
    return {
        f"AUC of {name} trained to tell sample from real": f"{_auc(model, rows, is_real):.3f}"
        for name, model in {"a logistic regression": linear, "boosted trees": trees}.items()
    } | {"Columns those trees rely on most": _telltale(trees, rows, is_real)}


def _auc(model: BaseEstimator, rows: pd.DataFrame, is_real: Labels) -> float:
    return float(cross_val_score(model, rows, is_real, cv=FOLDS, scoring="roc_auc").mean())


def _telltale(trees: BaseEstimator, rows: pd.DataFrame, is_real: Labels) -> str:
    """Name the three columns whose shuffling costs most AUC on rows held out."""
    train, test = next(FOLDS.split(rows, is_real))
    fitted = trees.fit(rows.iloc[train], is_real[train])
    held_out = rows.iloc[test], is_real[test]
    cost = permutation_importance(fitted, *held_out, scoring="roc_auc", random_state=0).importances_mean
    return ", ".join(f"`{NAMES[i]}`" for i in np.argsort(-cost)[:3])


@click.command(help=__doc__)
@click.argument("real_csv", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--write", is_flag=True, help="Put the tables into data/README.md.")
def main(real_csv: Path, write: bool) -> None:
    """Print the tables, and put them into the README if asked."""
    sample, real = (pd.read_csv(path)[NAMES] for path in (SAMPLE, real_csv))
    choices = [scores(rows) for rows in (sample, real)]
    tables = [
        summary_table(sample, real, chosen(choices[1]).k),
        choice_table(*choices),
        column_table(sample, real),
    ]
    body = "\n\n".join(tables)
    click.echo(body)
    if write:
        update("fidelity", body)


if __name__ == "__main__":
    main()
