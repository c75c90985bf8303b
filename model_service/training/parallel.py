"""Running many fits on all processors, with progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, cast

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

from model_service.training.fitted import make_pipeline

Result = TypeVar("Result")

STUDY_ROWS = 10_000
"""Most rows used for what takes many fits, or time that grows with the square of the rows.

About as many as in docs/clustering-study.md, so that its limits hold for larger data, too.
"""


class ProgressReporter(Protocol):
    """Receives how far a training is."""

    def phase(self, name: str) -> None:
        """A new phase of the training begins."""

    def tick(self) -> None:
        """One more unit of the work that `model_service.training.trainer.Options.work_units` counts is done."""


class NoProgress:
    """A `ProgressReporter` for callers who do not watch."""

    def phase(self, name: str) -> None:
        """Do nothing."""

    def tick(self) -> None:
        """Do nothing."""


def study_sample(rows: int, seed: int) -> NDArray[np.intp]:
    """Return which of so many `rows` are studied: all up to `STUDY_ROWS`, otherwise some, drawn by chance, in order."""
    if rows <= STUDY_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, STUDY_ROWS, replace=False))


def fit(rows: pd.DataFrame, k: int, seed: int) -> Pipeline:
    """Fit the pipeline on one thread.

    One thread because the fits themselves run side by side, and because with several the order of additions, and so
    the last bits of the centroids, would depend on chance.
    """
    with threadpool_limits(limits=1, user_api="openmp"):
        return make_pipeline(k, seed).fit(rows)


def run_all(jobs: Sequence[Callable[[], Result]], progress: ProgressReporter) -> list[Result]:
    """Run `jobs` on a thread per processor and return their results in order.

    Threads, not processes: K-Means leaves the interpreter lock while it works, and the data need no copying.
    """
    results = []
    # One result at a time, so that progress is seen while the work runs.
    for result in Parallel(n_jobs=cpu_count(), prefer="threads", return_as="generator")(delayed(job)() for job in jobs):
        results.append(cast(Result, result))
        progress.tick()
    return results
