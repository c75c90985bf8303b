from __future__ import annotations

import os

import joblib
import numpy as np
import pytest
from registry_changes import copy_version, edit_manifest, only_version
from sklearn.preprocessing import FunctionTransformer

from model_service.store import errors as store_errors
from model_service.store.artefact import MANIFEST_FILE, MODEL_FILE, sign
from model_service.store.errors import (
    ArtefactDamaged,
    IncompatibleModel,
    LabelsDiffer,
    NoActiveModel,
    RegistryError,
    VersionNotFound,
)
from model_service.store.registry import ACTIVE_FILE, ModelStore
from model_service.training.fitted import save


def test_a_version_is_stored_and_loaded_again(store, tiny):
    version = only_version(store)
    model = store.load(version)
    assert model.version == version == store.active.read()["version"]
    assert version.endswith(model.manifest["model_digest"][:8])
    rows = tiny.data.distance.to_numpy()
    assert len(set(model.scorer.score(rows).nearest.tolist())) == model.manifest["k"]


def test_versions_are_immutable_and_get_names_of_their_own(store):
    first = only_version(store)
    pipeline = joblib.load(store.directory / first / MODEL_FILE)
    second = save(store, pipeline, store.manifest(first))
    third = save(store, pipeline, store.manifest(first))
    assert store.versions() == [first, second, third]
    assert len({store.manifest(v)["created_at"] for v in (first, second, third)}) == 3


def test_nothing_is_left_of_a_version_that_could_not_be_written(store):
    version = only_version(store)
    before = sorted(p.name for p in store.directory.iterdir())
    unwritable = {**store.manifest(version), "seed": object()}
    with pytest.raises(TypeError):
        save(store, joblib.load(store.directory / version / MODEL_FILE), unwritable)
    assert sorted(p.name for p in store.directory.iterdir()) == before


def test_another_user_may_read_a_version(store):
    assert (store.directory / only_version(store)).stat().st_mode & 0o755 == 0o755
    assert (store.directory / ACTIVE_FILE).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["20260101T000000Z-00000000", "../models", "", "..", "active.json"])
def test_unknown_versions_are_not_found(store, name):
    with pytest.raises(VersionNotFound):
        store.load(name)


def test_a_tampered_model_is_refused(store):
    version = only_version(store)
    path = store.directory / version / MODEL_FILE
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ArtefactDamaged, match="SHA-256"):
        store.load(version)


@pytest.mark.parametrize("name", [MODEL_FILE, MANIFEST_FILE])
@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_truncated_or_missing_file_is_refused(store, name, damage):
    version = only_version(store)
    path = store.directory / version / name
    if damage == "remove":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ArtefactDamaged, match=version):
        store.load(version)


@pytest.mark.parametrize(
    "changes",
    [
        {"sample": "rows"},
        {"sample": [[1.0]]},
        {"sample_clusters": None},
        {"sample_clusters": [0]},
        {"model_digest": "0"},
        {"parameters": {}},
    ],
    ids=str,
)
def test_a_manifest_that_does_not_describe_the_model_is_refused(store, changes):
    version = only_version(store)
    edit_manifest(store, version, **changes)
    with pytest.raises(ArtefactDamaged):
        store.load(version)


def test_a_manifest_without_a_member_is_refused_by_its_name(store):
    version = only_version(store)
    path = store.directory / version / MANIFEST_FILE
    path.write_bytes(b"{}")
    sign(path.parent, b"{}", store.signer)
    with pytest.raises(ArtefactDamaged, match="calibration"):
        store.manifest(version)


def test_a_version_of_another_scikit_learn_serves_as_before(store, tiny):
    """Its parameters are plain numbers."""
    version = only_version(store)
    before = store.load(version).scorer.score(tiny.data.distance.to_numpy())
    edit_manifest(store, version, libraries={"scikit-learn": "0.24.2"})
    after = store.load(version).scorer.score(tiny.data.distance.to_numpy())
    assert [values.tolist() for values in after] == [values.tolist() for values in before]


def test_other_features_are_refused(store):
    version = only_version(store)
    edit_manifest(store, version, features=["AGE"])
    with pytest.raises(IncompatibleModel, match="features"):
        store.load(version)


def test_a_pipeline_that_the_scorer_cannot_reproduce_becomes_no_version(store):
    version = only_version(store)
    pipeline = joblib.load(store.directory / version / MODEL_FILE)
    pipeline.steps[1] = ("log", FunctionTransformer(np.negative))
    with pytest.raises(LabelsDiffer):
        save(store, pipeline, store.manifest(version))
    pipeline = joblib.load(store.directory / version / MODEL_FILE)
    pipeline.named_steps["scale"].mean_[0] += 1
    with pytest.raises(ArtefactDamaged, match="not those in its manifest"):
        save(store, pipeline, store.manifest(version))
    assert store.versions() == [version]


def test_clusters_of_the_sample_that_the_scorer_does_not_find_are_refused_at_load(store):
    version = only_version(store)
    clusters = store.manifest(version)["sample_clusters"]
    edit_manifest(store, version, sample_clusters=[(cluster + 1) % 3 for cluster in clusters])
    with pytest.raises(LabelsDiffer, match=f"{len(clusters)} rows"):
        store.load(version)


def test_an_empty_store_has_nothing_active(tmp_path):
    store = ModelStore(tmp_path / "none")
    assert store.versions() == store.serving_order() == []
    assert store.active.stamp() is None
    with pytest.raises(NoActiveModel, match="train"):
        store.active.read()


def test_the_stamp_changes_with_each_activation(store):
    before = store.active.stamp()
    store.activate(copy_version(store))
    assert store.active.stamp() != before


def test_a_version_in_the_place_of_another_is_refused(store):
    version, other = only_version(store), "20200101T000000Z-00000000"
    (store.directory / version).rename(store.directory / other)
    with pytest.raises(ArtefactDamaged, match=version):
        store.load(other)


def test_the_state_of_a_versions_files_is_told(store):
    version = only_version(store)
    before = store.stamp(version)
    edit_manifest(store, version, seed=5)
    assert store.stamp(version) != before
    (store.directory / version / MODEL_FILE).unlink()
    assert store.stamp(version)[0] is None
    with pytest.raises(VersionNotFound):
        store.stamp("../models")


def test_every_error_belongs_to_one_family():
    errors = [kind for kind in vars(store_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(errors) > 10
    for error in errors:
        assert issubclass(error, RegistryError)
        assert error is RegistryError or error.__name__ in RegistryError.__doc__
