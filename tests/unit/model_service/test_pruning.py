"""Deleting versions that nobody needs: never what was active, never half."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner
from registry_changes import copy_version, damage, only_version
from test_registry_crashes import TIMES, run

from model_service.__main__ import main
from model_service.settings import Settings
from model_service.store.errors import ArtefactDamaged, StoreNotWritable, TrainingRunning, VersionNotFound
from model_service.store.registry import ACTIVE_FILE, ModelStore
from model_service.store.upkeep import prunable, prune
from model_service.training_jobs.folder import Folder, new_record
from model_service.training_jobs.jobs import TrainingJobs
from model_service.training_jobs.run import RecordedProgress, TrainingTask, perform
from shared.model_contract import TrainingOptions


def hidden(store):
    return [path.name for path in store.directory.iterdir() if path.is_dir() and path.name.startswith(".")]


def test_the_newest_ones_and_all_that_were_ever_active_stay(store):
    first, *others = [only_version(store), *(copy_version(store) for _ in range(5))]
    for version in (others[1], others[2]):
        store.activate(version)
    store.rollback()
    assert prunable(store, 2) == [others[0]] == prune(store, 2)
    assert store.versions() == [first, *others[1:]], "the one that was rolled back stays too"
    assert prune(store, 1) == [others[3]]
    assert prune(store, 1) == []
    assert store.rollback()["version"] == first
    assert hidden(store) == []


def test_of_a_store_where_nothing_was_ever_active_the_newest_stay(store):
    versions = [only_version(store), copy_version(store), copy_version(store)]
    for path in (store.active.path, store.active.copy):
        path.unlink()
    assert prune(store, 1) == versions[:2]


def test_the_version_that_knows_the_next_segment_id_stays(store):
    first = only_version(store)
    store.activate(copy_version(store))
    number = store.manifest(first)["next_segment_number"]
    knowing = copy_version(store, next_segment_number=number + 5)
    copy_version(store)
    newest = copy_version(store)
    damage(store, newest)
    (store.path(newest) / "manifest.json").unlink()
    assert knowing not in prune(store, 1)
    assert knowing in store.versions()


@pytest.mark.parametrize("record", [b"{", b'{"version": "x", "history": []}'])
def test_nothing_is_deleted_while_nobody_knows_what_was_active(store, record):
    copy_version(store)
    copy_version(store)
    for path in (store.active.path, store.active.copy):
        path.write_bytes(record)
    before = store.versions()
    with pytest.raises(ArtefactDamaged):
        prune(store, 1)
    assert store.versions() == before


def test_nothing_is_deleted_while_a_version_is_made(store):
    copy_version(store)
    with ModelStore(store.directory).training_lock(), pytest.raises(TrainingRunning):
        prune(store, 1)


def test_a_version_that_was_deleted_meanwhile_is_not_activated(store, monkeypatch):
    doomed, _ = copy_version(store), copy_version(store)
    real = store.load

    def loaded_and_then_deleted(version):
        model = real(version)
        assert prune(ModelStore(store.directory), 1) == [doomed]
        return model

    monkeypatch.setattr(store, "load", loaded_and_then_deleted)
    before = (store.directory / ACTIVE_FILE).read_bytes()
    with pytest.raises(VersionNotFound):
        store.activate(doomed)
    assert (store.directory / ACTIVE_FILE).read_bytes() == before


def test_a_disk_that_cannot_be_written_is_said(store, monkeypatch):
    copy_version(store)
    copy_version(store)
    before = store.versions()
    monkeypatch.setattr("model_service.store.files.os.open", lambda *_: _read_only())
    with pytest.raises(StoreNotWritable, match="Read-only"):
        prune(store, 1)
    assert len(prunable(store, 1)) == 1, "to look needs no lock"
    assert store.versions() == before


def _read_only():
    raise OSError(30, "Read-only file system")


def test_killed_prunings_leave_whole_versions_alone(store):
    leftovers, acknowledged = run(store, "prune", TIMES)
    assert int(leftovers) > 0, "at least one was killed while it deleted"
    assert len(acknowledged) >= TIMES
    for version in store.versions():
        assert store.load(version).version == version
        assert len([*store.path(version).iterdir()]) == len([*store.path(store.versions()[0]).iterdir()])
    with store.training_lock():
        assert hidden(store) == []


def test_the_record_of_a_training_outlives_its_version(store):
    doomed, _ = copy_version(store), copy_version(store)
    jobs = TrainingJobs(store.directory)
    options = TrainingOptions(k_min=3, k_max=3, seed=0, activate=False)
    record = new_record("20260101T000000.000000Z-abcd", "ann", "note", options, "customers.csv", 5)
    record["version"], record["status"] = doomed, "completed"
    folder = Folder(jobs.directory / record["id"])
    folder.path.mkdir(parents=True)
    folder.write(record)
    assert prune(store, 1) == [doomed]
    assert jobs.get(record["id"])["version"] == doomed
    assert jobs.erase("C1") == 0


@pytest.mark.usefixtures("few_refits")
def test_a_training_leaves_so_many_as_are_to_be_kept(store, tiny):
    active, candidate = only_version(store), copy_version(store)
    jobs = TrainingJobs(store.directory)
    options = TrainingOptions(k_min=3, k_max=3, seed=0, activate=False)
    job = jobs.begin(jobs.draft(), "ann", "", options, "customers.csv", 5)
    settings = Settings(model_keep_versions=1)
    done = perform(job, TrainingTask.by(settings, store, tiny.csv), RecordedProgress(job))
    assert store.versions() == [active, done.manifest["version"]]
    assert candidate not in store.versions()
    assert jobs.records()[0]["status"] == "completed"


def test_on_the_command_line(store, monkeypatch):
    def call(*arguments, status=0):
        done = CliRunner().invoke(main, ["prune", *arguments, "--store", str(store.directory)])
        assert done.exit_code == status, done.output
        return done.output

    doomed, _ = copy_version(store), copy_version(store)
    assert call("--keep", "1", "--dry-run") == f"{doomed}: would be deleted\n"
    assert doomed in store.versions()
    assert "--keep" in call(status=2)
    for wrong in ("0", "-1", "all"):
        assert "Invalid value for '--keep'" in call("--keep", wrong, status=2)
    monkeypatch.setenv("MODEL_KEEP_VERSIONS", "1")
    assert call() == f"{doomed}: deleted\n"
    assert call() == "nothing to delete\n"
    shutil.rmtree(store.directory)
    assert call("--dry-run") == "nothing to delete\n"
