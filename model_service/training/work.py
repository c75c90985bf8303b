"""Running many fits on all processors, with progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import pandas as pd
from joblib import Parallel, cpu_count, delayed
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

from model_service.pipeline import make_pipeline

Result = TypeVar("Result")
Tick = Callable[[], object]
"""Called once for each finished unit of work."""


def fit(rows: pd.DataFrame, k: int, seed: int) -> Pipeline:
    """Fit the pipeline on one thread.

    One thread because the fits themselves run side by side, and because with several the order of additions, and so
    the last bits of the centroids, would depend on chance.
    """
    with threadpool_limits(limits=1, user_api="openmp"):
        return make_pipeline(k, seed).fit(rows)


def run_all(jobs: Sequence[Callable[[], Result]], tick: Tick) -> list[Result]:
    """Run `jobs` on a thread per processor and return their results in order.

    Threads, not processes: K-Means leaves the interpreter lock while it works, and the data need no copying.
    """
    results = []
    # One result at a time, so that progress is seen while the work runs.
    for result in Parallel(n_jobs=cpu_count(), prefer="threads", return_as="generator")(delayed(job)() for job in jobs):
        results.append(cast(Result, result))
        tick()
    return results
