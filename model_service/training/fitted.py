"""The scikit-learn pipeline: made, stored with the proof that its compiled form equals it, and taken over from before.

Serving never loads it. What is proved here, when a version is made, it proves again at each load against the clusters
that are kept in the manifest (`model_service.store.artefact`).
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import joblib
import numpy as np
import sklearn
from sklearn.cluster import KMeans
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from model_service.scoring.pipeline import Clusters, CompiledScorer, Matrix, Parameters, label_differences
from model_service.store import artefact
from model_service.store.artefact import MANIFEST_FILE, reading
from model_service.store.errors import ArtefactDamaged, IncompatibleModel, LabelsDiffer, cause
from model_service.store.files import replace_files
from model_service.store.manifest import Manifest
from model_service.store.registry import ModelStore
from model_service.store.upkeep import HISTORY, LABELS, Outcome, attempt
from model_service.store.versions import Versions


def make_pipeline(k: int, seed: int, n_init: int = 10) -> Pipeline:
    """Return the unfitted pipeline: median imputation, log1p, standardisation, K-Means with `k` clusters.

    Fit it on the named float64 columns that the distance is to use. Evidence for these steps:
    docs/clustering-study.md, §2 and §4 (log1p + StandardScaler has the most stable fits above k = 2).
    """
    return Pipeline(
        [
            ("impute", SimpleImputer(strategy="median")),
            ("log", FunctionTransformer(np.log1p, feature_names_out="one-to-one")),
            ("scale", StandardScaler()),
            ("cluster", KMeans(n_clusters=k, n_init=n_init, random_state=seed)),
        ]
    )


def predict_arrays(pipeline: Pipeline, rows: Matrix) -> Clusters:
    """Predict with `pipeline` on a plain array in training order, shape (n, n_features).

    The imputer was fitted on named columns and would warn about a bare array. So a copy of it forgets the names.
    """
    imputer = copy.copy(pipeline.named_steps["impute"])
    vars(imputer).pop("feature_names_in_", None)
    return cast(Clusters, pipeline[1:].predict(imputer.transform(rows)))


def save(
    store: Versions, pipeline: Pipeline, manifest: Manifest, draw: Callable[[Path, Manifest], None] | None = None
) -> str:
    """Store a fitted pipeline as a new version and return the version's name.

    ``version``, ``created_at``, ``sample_clusters``, ``model_digest`` and ``model_sha256`` of `manifest` are filled in;
    then `draw` may put more files into the version's directory.

    Raises
    ------
    TrainingRunning, StoreNotWritable, ArtefactDamaged, LabelsDiffer
    """

    def fill(directory: Path) -> str:
        manifest["model_digest"] = Parameters.of(pipeline).digest()
        manifest["version"], manifest["created_at"] = store.free_name(manifest["model_digest"])
        pickled = io.BytesIO()
        joblib.dump(pipeline, pickled)
        manifest["sample_clusters"] = _proved_clusters(_unpickled(pickled.getvalue(), manifest), manifest)
        artefact.write(directory, pickled.getvalue(), manifest, store.signer)
        if draw:
            draw(directory, manifest)
        return manifest["version"]

    return store.make(fill)


def _proved_clusters(pipeline: Pipeline, manifest: Manifest) -> list[int]:
    """Return the clusters of the manifest's sample, after proving that the compiled scorer finds the same.

    Raises
    ------
    ArtefactDamaged, LabelsDiffer
    """
    version, fitted, written = manifest["version"], Parameters.of(pipeline), manifest["parameters"]
    if fitted.digest() != manifest["model_digest"] or fitted.as_json() != written:
        raise ArtefactDamaged(f"The parameters of the model in version {version} are not those in its manifest.")
    sample = artefact.sample_of(manifest)
    clusters = predict_arrays(pipeline, sample)
    if differences := label_differences(clusters, CompiledScorer(Parameters.from_json(written)), sample):
        raise LabelsDiffer(
            f"The compiled scorer of version {version} disagrees with its pipeline on {differences} rows."
        )
    return cast(list[int], clusters.tolist())


def _unpickled(content: bytes, manifest: Manifest) -> Pipeline:
    """Return the pipeline; its code is carried out, so it must come from somebody who is trusted."""
    version, made_with = manifest["version"], manifest["libraries"]["scikit-learn"]
    if made_with.split(".")[:2] != sklearn.__version__.split(".")[:2]:
        raise IncompatibleModel(
            f"Version {version} was trained with scikit-learn {made_with}, but this program has {sklearn.__version__}, "
            "which must not unpickle it."
        )
    try:
        return joblib.load(io.BytesIO(content))
    except Exception as error:  # unpickling raises whatever the missing or changed code raises
        raise ArtefactDamaged(f"The model of version {version} cannot be unpickled ({cause(error)}).") from error


def upgrade(store: ModelStore) -> list[Outcome]:
    """Take over what was stored before there were signatures: versions, the history of activations, people's names.

    Each version is unpickled, for the last time, once its SHA-256 is that of its manifest, and its compiled form is
    proved; then its manifest, which stays as it is otherwise, gets the clusters of its sample, and a signature. What
    has a signature is left as it is. Stopped at any instant, it goes on from there.

    Raises
    ------
    TrainingRunning, StoreNotWritable
    """
    with store.training_lock(), store.writing():
        versions = [attempt(version, partial(_take_over, store, store.path(version))) for version in store.versions()]
        history = attempt(HISTORY, partial(store.active.sign, unsigned=True))
        labels = attempt(LABELS, partial(store.labels.sign, unsigned=True))
    return [*filter(None, (*versions, history, labels))]


def _take_over(store: ModelStore, directory: Path) -> bool:
    """Sign a version, unless it has a signature, which must be good; say whether there was anything to do."""
    if artefact.is_signed(directory):
        store.manifest(directory.name)
        return False
    manifest = artefact.parse_manifest(directory, artefact.read_bytes(directory, MANIFEST_FILE))
    with reading(directory.name):
        pipeline = _unpickled(artefact.read_model(directory, manifest), manifest)
        manifest["sample_clusters"] = _proved_clusters(pipeline, manifest)
    content = artefact.manifest_bytes(manifest)
    replace_files(content, directory / MANIFEST_FILE)  # first: until it is signed, it is found again
    artefact.sign(directory, content, store.signer)
    return True
