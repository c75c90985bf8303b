"""What tests do to a model store: add versions, change manifests, do damage."""

from __future__ import annotations

from typing import Any

import joblib
import orjson

from model_service.store.artefact import MANIFEST_FILE, MODEL_FILE, sign
from model_service.store.manifest import Manifest
from model_service.store.registry import ModelStore
from model_service.training.fitted import save


def only_version(store: ModelStore) -> str:
    (version,) = store.versions()
    return version


def copy_version(store: ModelStore, **changes: Any) -> str:
    """Store the first version once more, as a version of its own, with another manifest."""
    version = store.versions()[0]
    manifest: Any = {**store.manifest(version), **changes}
    return save(store, joblib.load(store.directory / version / MODEL_FILE), manifest)


def worse_version(store: ModelStore) -> str:
    """Store a version that the gate refuses for its stability alone."""
    return copy_version(store, scores=unstable(store.manifest(store.versions()[0])))


def unstable(manifest: Manifest) -> list[dict[str, Any]]:
    return [score | {"stability_mean": 0.1} for score in manifest["scores"]]


def edit_manifest(store: ModelStore, version: str, **changes: Any) -> None:
    """As whoever knows the key might."""
    path = store.directory / version / MANIFEST_FILE
    content = orjson.dumps(orjson.loads(path.read_bytes()) | changes)
    path.write_bytes(content)
    sign(path.parent, content, store.signer)


def damage(store: ModelStore, version: str) -> None:
    (store.directory / version / MODEL_FILE).write_bytes(b"rubbish")
