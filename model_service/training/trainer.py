"""One training: choose k, fit, calibrate, profile, name, identify."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import pandas as pd
import sklearn
from sklearn.pipeline import Pipeline

from model_service.scoring.pipeline import CompiledScorer, Matrix, Parameters
from model_service.store.artefact import is_signed
from model_service.store.errors import ArtefactDamaged
from model_service.store.manifest import Manifest
from model_service.store.registry import ModelStore
from model_service.training import calibration, evidence, selection
from model_service.training.dataset import TrainingData
from model_service.training.errors import DataRefused
from model_service.training.fitted import save
from model_service.training.matching import identify
from model_service.training.parallel import ProgressReporter, study_sample
from model_service.training.segments import describe_segments
from shared.model_description import LeftOut, Range

SAMPLE_ROWS = 200
"""Training rows kept in the manifest, with their clusters: each load proves that the compiled scorer finds the same."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a training: which numbers of segments to try, and the random seed."""

    ks: Sequence[int] = tuple(range(3, 9))
    seed: int = 0

    def work_units(self) -> int:
        """Return how many units of work `train` reports."""
        return selection.work_units(self.ks) + calibration.REFITS + calibration.HELD_OUT


Draw = Callable[[Path, Manifest, TrainingData, Manifest | None], None]
"""Puts plots and report into a version's directory: (directory, manifest, data, the parent's manifest)."""


class Trained(NamedTuple):
    """A fitted pipeline and its manifest, ready for `model_service.training.fitted.save`."""

    pipeline: Pipeline
    manifest: Manifest


def train_version(
    store: ModelStore, data: TrainingData, options: Options, progress: ProgressReporter, draw: Draw | None = None
) -> Manifest:
    """Train a model, store it as a new version and return its manifest; activating it is another step.

    Its segments continue those of the active model. What `draw` puts into the version's directory appears together
    with the version.

    Raises
    ------
    SignatureRefused
        when there are versions of before signatures: they know which segment ids were given out.
    DataRefused
        when there are too few distinct rows for the largest k.
    """
    store.directory.mkdir(parents=True, exist_ok=True)  # should it fail, then before the work
    manifests = _readable_manifests(store)
    parent = next((manifests[version] for version in store.serving_order() if version in manifests), None)
    next_number = max((m["next_segment_number"] for m in manifests.values()), default=1)
    trained = train(data, options, parent, next_number, progress)
    if draw is None:
        save(store, trained.pipeline, trained.manifest)
    else:
        progress.phase("drawing plots")
        save(store, trained.pipeline, trained.manifest, lambda into, manifest: draw(into, manifest, data, parent))
    return trained.manifest


def _readable_manifests(store: ModelStore) -> dict[str, Manifest]:
    """Return the manifests of all versions but damaged ones, which must not stand in the way of a new model.

    Raises
    ------
    SignatureRefused
    """
    found = {}
    for version in store.versions():
        if not is_signed(store.path(version)):
            store.manifest(version)
        with contextlib.suppress(ArtefactDamaged):
            found[version] = store.manifest(version)
    return found


def train(
    data: TrainingData, options: Options, parent: Manifest | None, next_number: int, progress: ProgressReporter
) -> Trained:
    """Train a model without a store.

    Parameters
    ----------
    parent : manifest of the model whose segments keep their ids; None at the first training.
    next_number : first segment number that was never used.
    progress : receives the phases, and each unit of work, `Options.work_units` in all.

    Raises
    ------
    DataRefused
        when there are too few distinct rows for the largest k.
    """
    rows = data.distance
    _refuse_too_few(rows.iloc[study_sample(len(rows), options.seed)], max(options.ks))
    chosen = selection.select(rows, options.ks, options.seed, progress)
    parameters = Parameters.of(chosen.pipeline)
    scorer = CompiledScorer(parameters)
    scores = scorer.score(rows.to_numpy())
    sizes = np.bincount(scores.nearest, minlength=chosen.k)
    features = list(rows.columns)
    identity = identify(parameters, (sizes / len(rows)).tolist(), parent, next_number, features, data.left_out)
    calibrated = calibration.calibrate(rows, scorer, options.seed, progress)
    progress.phase("describing segments")
    manifest = Manifest(
        version="",
        created_at="",
        model_digest="",
        model_sha256="",
        seed=options.seed,
        k=chosen.k,
        rows=len(rows),
        data=data.source,
        libraries=_libraries(),
        features=features,
        left_out=list(data.left_out),
        parameters=parameters.as_json(),
        ranges=_ranges(rows) | _constants(data.left_out),
        distance_limit=float(np.quantile(scores.distance, 0.999)),
        calibration=calibrated.calibration,
        choice=chosen.reason,
        scores=[s.as_json() for s in chosen.scores],
        segments=describe_segments(data.frame, scores.nearest, identity, features),
        parent=parent["version"] if parent else None,
        retired=identity.retired,
        next_segment_number=identity.next_number,
        sample=_sample(rows.to_numpy(), options.seed),
        evidence=evidence.gather(data, chosen, scores, calibrated, identity.ids, options.seed),
    )
    return Trained(chosen.pipeline, manifest)


def _refuse_too_few(rows: pd.DataFrame, k: int) -> None:
    # Each half of a split and each bootstrap sample must still hold k distinct customers.
    needed = 10 * k
    distinct = len(rows.drop_duplicates())
    if distinct < needed:
        raise DataRefused(
            f"{distinct} distinct customers are too few for {k} segments; at least {needed} are required."
        )


def _libraries() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "joblib": joblib.__version__,
    }


def _ranges(rows: pd.DataFrame) -> dict[str, Range]:
    low, high = rows.quantile(0.001), rows.quantile(0.999)
    return {name: Range(low=float(low[name]), high=float(high[name])) for name in rows.columns}


def _constants(left_out: Sequence[LeftOut]) -> dict[str, Range]:
    """Return the ranges of features that are constant: customers with another value are unlike those in training."""
    return {
        left["feature"]: Range(low=left["value"], high=left["value"]) for left in left_out if left["value"] is not None
    }


def _sample(rows: Matrix, seed: int) -> list[list[float | None]]:
    """Return some training rows, half of them with missing values as far as there are any."""
    generator = np.random.default_rng(seed)
    incomplete = np.flatnonzero(np.isnan(rows).any(axis=1))
    some = generator.permutation(incomplete)[: SAMPLE_ROWS // 2]
    rest = generator.permutation(np.setdiff1d(np.arange(len(rows)), some))[: SAMPLE_ROWS - len(some)]
    picked = rows[np.concatenate([some, rest])]
    return [[None if np.isnan(value) else value for value in row] for row in picked.tolist()]
