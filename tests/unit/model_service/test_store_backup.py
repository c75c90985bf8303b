"""A copy of the model store that is taken while it is used, and what becomes of it."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner
from registry_changes import copy_version, only_version

from model_service.__main__ import main
from model_service.store import upkeep
from model_service.store.labelling import relabel
from model_service.store.labels import LabelPatch
from model_service.store.registry import ModelStore


def run(store, folder):
    return CliRunner().invoke(main, ["backup", str(folder), "--store", str(store.directory)])


def test_a_copy_serves_as_the_store_did(store, tmp_path):
    first, second = only_version(store), copy_version(store)
    store.activate(second, "better", "ann")
    relabel(store, "seg-01", LabelPatch(name="Friends of the house"))
    (store.directory / "trainings").mkdir()
    done = run(store, tmp_path / "copy")
    assert (done.exit_code, "2 versions" in done.output) == (0, True)
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o700
    restored = ModelStore(shutil.copytree(tmp_path / "copy", tmp_path / "restored"))
    assert restored.active.read() == store.active.read()
    assert restored.versions() == [first, second]
    assert restored.load(second).manifest == store.load(second).manifest
    assert restored.labels.read()["seg-01"]["name"] == "Friends of the house"
    names = {first, second, "active.copy.json", "active.json", "labels.json", "labels.hmac"}
    assert {path.name for path in restored.directory.iterdir()} == names
    assert restored.rollback("worse", "ben")["version"] == first


def test_what_is_activated_meanwhile_is_not_named_without_being_there(store, tmp_path, monkeypatch):
    first, copytree = only_version(store), shutil.copytree

    def activating(*arguments):
        if store.active.read()["version"] == first:
            store.activate(copy_version(store), "meanwhile", "ann")
        return copytree(*arguments)

    monkeypatch.setattr(upkeep.shutil, "copytree", activating)
    assert run(store, tmp_path / "copy").exit_code == 0
    restored = ModelStore(tmp_path / "copy")
    assert restored.active.read()["version"] in restored.versions()
    assert restored.load(restored.active.read()["version"])


def test_a_version_that_is_pruned_meanwhile_is_left_out(store, tmp_path, monkeypatch):
    second, copytree = copy_version(store), shutil.copytree

    def pruning(source, target):
        if source.name == second:
            shutil.rmtree(source)
        return copytree(source, target)

    monkeypatch.setattr(upkeep.shutil, "copytree", pruning)
    assert run(store, tmp_path / "copy").exit_code == 0
    assert ModelStore(tmp_path / "copy").versions() == [only_version(store)]


def test_a_damaged_record_is_copied_with_the_one_that_can_be_read(store, tmp_path):
    (store.directory / "active.json").unlink()
    assert run(store, tmp_path / "copy").exit_code == 0
    assert ModelStore(tmp_path / "copy").active.read()["damage"] is None


def test_an_empty_store_is_copied(tmp_path):
    assert run(ModelStore(tmp_path / "none"), tmp_path / "copy").exit_code == 0
    assert list((tmp_path / "copy").iterdir()) == []


@pytest.mark.parametrize("taken", [True, False])
def test_a_folder_that_cannot_be_written_is_refused(store, tmp_path, taken):
    folder = tmp_path / "copy" if taken else tmp_path / "none" / "copy"
    if taken:
        folder.mkdir()
    done = run(store, folder)
    assert (done.exit_code, "cannot be written" in done.output) == (1, True)
    assert not list(tmp_path.glob("**/*.partial"))


def test_half_a_copy_is_none_and_the_next_one_begins_anew(store, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(upkeep.shutil, "copytree", full)
        done = run(store, tmp_path / "copy")
    assert (done.exit_code, "No space left" in done.output) == (1, True)
    assert not (tmp_path / "copy").exists()
    (tmp_path / "copy.partial").mkdir()  # of one that was killed
    (tmp_path / "copy.partial" / "x").write_text("x")
    assert run(store, tmp_path / "copy").exit_code == 0
    assert not (tmp_path / "copy" / "x").exists()
