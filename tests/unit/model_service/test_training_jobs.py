from __future__ import annotations

import errno
import json
import os
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_service.store.errors import StoreNotWritable, TrainingEnded, TrainingNotFound, TrainingRunning
from model_service.store.files import exclusive
from model_service.training_jobs import jobs as jobs_module
from model_service.training_jobs.folder import UPLOADS, Folder
from model_service.training_jobs.job import Job
from model_service.training_jobs.jobs import KEPT, PROCESS_DIED, TrainingJobs
from shared.model_contract import CSV, Progress, Training, TrainingOptions

OPTIONS = TrainingOptions(k_min=3, k_max=3, seed=1, activate=False)
UPLOAD = UPLOADS[CSV]


@pytest.fixture
def jobs(tmp_path: Path) -> TrainingJobs:
    return TrainingJobs(tmp_path / "models")


def begin(jobs: TrainingJobs) -> Job:
    draft = jobs.draft()
    (draft.folder.path / UPLOAD).write_text("personal data")
    return jobs.begin(draft, "ann", "quarterly", OPTIONS, UPLOAD, 13)


def die(job: Job) -> None:
    """What the kernel does when a process is killed."""
    os.close(job.lock)


def names(jobs: TrainingJobs) -> set[str]:
    return {path.name for path in jobs.directory.iterdir()} - {".lock"}


def test_a_training_is_queued_then_running_then_completed(jobs):
    job = begin(jobs)
    record = jobs.get(job.folder.id)
    assert set(record) == set(Training.__annotations__)
    assert (record["status"], record["by"], record["note"], record["options"]) == (
        "queued",
        "ann",
        "quarterly",
        OPTIONS,
    )
    assert (record["data"], record["bytes"], record["started_at"]) == (UPLOAD, 13, None)
    job.start()
    job.report(Progress(phase="stability", done=2, total=9))
    record = jobs.get(job.folder.id)
    assert (record["status"], record["progress"]) == ("running", {"phase": "stability", "done": 2, "total": 9})
    assert (job.folder.path / UPLOAD).exists()
    job.commit("20260101T000000Z-00000000")
    job.finish("completed", activated=True)
    record = jobs.get(job.folder.id)
    assert (record["status"], record["version"], record["activated"]) == (
        "completed",
        "20260101T000000Z-00000000",
        True,
    )
    assert record["created_at"] <= record["started_at"] <= record["finished_at"]
    assert not (job.folder.path / UPLOAD).exists()


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_the_customers_go_with_the_end_and_the_next_training_may_begin(jobs, status):
    job = begin(jobs)
    with pytest.raises(TrainingRunning, match=job.folder.id):
        begin(jobs)
    with pytest.raises(TrainingRunning, match=job.folder.id):
        jobs.refuse_second()
    assert names(jobs) == {job.folder.id}
    job.finish(status, "because")
    jobs.refuse_second()
    assert not (job.folder.path / UPLOAD).exists()
    assert jobs.get(job.folder.id)["reason"] == "because"
    begin(jobs).finish("completed")


@pytest.mark.parametrize("begun", [False, True])
def test_a_training_whose_process_died_has_failed(jobs, begun):
    job = begin(jobs)
    if begun:
        job.start()
    die(job)
    record = jobs.get(job.folder.id)
    assert (record["status"], record["reason"]) == ("failed", PROCESS_DIED)
    assert record["finished_at"]
    assert record == TrainingJobs(jobs.directory.parent).get(job.folder.id) == jobs.records()[0]
    assert not (job.folder.path / UPLOAD).exists()
    begin(jobs).finish("completed")


def test_what_a_training_said_last_counts_though_its_process_ended_while_it_was_looked_at(jobs, monkeypatch):
    job = begin(jobs)
    job.start()

    def ends_meanwhile(_folder: Folder) -> bool:
        job.finish("completed")
        return False

    monkeypatch.setattr(Folder, "is_locked", ends_meanwhile)
    assert jobs.get(job.folder.id)["status"] == "completed"


def test_a_death_is_told_though_the_disk_is_full(jobs, monkeypatch, caplog):
    job = begin(jobs)
    die(job)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Folder, "write", full)
    assert jobs.get(job.folder.id)["status"] == "failed"
    assert "No space left" in caplog.text


def test_the_first_end_counts(jobs):
    job = begin(jobs)
    assert job.cancel("on request")
    job.finish("completed")
    job.report(Progress(phase="late", done=1, total=1))
    assert not job.cancel("again")
    record = jobs.get(job.folder.id)
    assert (record["status"], record["reason"]) == ("cancelled", "on request")


def test_a_stored_version_cannot_be_cancelled_any_more(jobs):
    job = begin(jobs)
    job.commit("20260101T000000Z-00000000")
    assert not job.cancel("on request")
    job.finish("completed")
    assert jobs.get(job.folder.id)["status"] == "completed"


def test_a_request_to_cancel_is_noticed(jobs):
    job = begin(jobs)
    called = threading.Event()
    job.watch(called.set)
    assert jobs.cancel(job.folder.id)["status"] == "queued"
    assert called.wait(10)
    assert jobs.get(job.folder.id)["status"] == "cancelled"
    with pytest.raises(TrainingEnded, match="cancelled"):
        jobs.cancel(job.folder.id)


def test_a_dead_training_cannot_be_cancelled(jobs):
    job = begin(jobs)
    die(job)
    with pytest.raises(TrainingEnded, match="failed"):
        jobs.cancel(job.folder.id)


@pytest.mark.parametrize(
    "identity", ["", ".", "..", "../models", "a/b", "\0", ".lock", "20260101T000000.000000Z-00ff", "x" * 5000, "é"]
)
def test_an_unknown_or_hostile_id_is_not_found(jobs, identity):
    begin(jobs).finish("completed")
    for ask in (jobs.get, jobs.log, jobs.cancel):
        with pytest.raises(TrainingNotFound):
            ask(identity)


DAMAGE = [b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b'{"id": "x"}']


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_is_listed_as_failed_among_whole_ones(jobs, damage):
    first = begin(jobs)
    first.finish("completed")
    second = begin(jobs)
    second.finish("completed")
    first.folder.record.write_bytes(damage)
    whole, damaged = jobs.records()
    assert (whole["id"], whole["status"]) == (second.folder.id, "completed")
    assert (damaged["id"], damaged["status"]) == (first.folder.id, "failed")
    assert damaged["reason"] == "The record of this training cannot be read."
    assert damaged["created_at"] <= whole["created_at"]
    assert set(damaged) == set(Training.__annotations__)
    begin(jobs).finish("completed")


@given(
    record=st.recursive(st.none() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c))
)
def test_whatever_lies_in_a_record_it_is_read(tmp_path_factory, record):
    path = tmp_path_factory.mktemp("record") / "20260101T000000.000000Z-00ff"
    path.mkdir()
    folder = Folder(path)
    folder.record.write_text(json.dumps(record))
    assert folder.read()["status"] == "failed"


def test_a_folder_of_no_possible_date_is_listed_and_stops_nothing(jobs):
    begin(jobs).finish("completed")
    (jobs.directory / "20269922T000000.000000Z-abcd").mkdir()
    (odd, _) = jobs.records()
    assert (odd["status"], odd["created_at"]) == ("failed", "1970-01-01T00:00:00Z")
    begin(jobs).finish("completed")


@pytest.mark.parametrize("notice", ["read", "tidy", "reap"])
def test_what_a_dead_training_left_half_written_goes_when_its_end_is_noticed(jobs, notice):
    job = begin(jobs)
    store = jobs.directory.parent
    (store / ".writing-abc").mkdir()
    (store / ".writing-abc" / "model.joblib").write_bytes(b"half")
    with exclusive(store / ".training.lock"):
        jobs.tidy()
        assert (store / ".writing-abc").exists(), "somebody writes it"
    if notice == "reap":  # the end is on record already
        job.cancel("on request")
        jobs_module._reap(subprocess.Popen(["true"]), jobs, job.folder.id, print)
    else:
        die(job)
        jobs.get(job.folder.id) if notice == "read" else jobs.tidy()
    assert not (store / ".writing-abc").exists()


def test_what_cannot_be_cleared_away_hides_no_record(jobs, monkeypatch, caplog):
    job = begin(jobs)
    die(job)

    def read_only(_store: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("model_service.training_jobs.jobs.clear_drafts", read_only)
    assert jobs.get(job.folder.id)["status"] == "failed"
    assert "Read-only file system" in caplog.text


def test_a_missing_record_is_as_good_as_a_damaged_one(jobs):
    job = begin(jobs)
    job.finish("completed")
    job.folder.record.unlink()
    assert jobs.get(job.folder.id)["status"] == "failed"


def test_the_customers_of_a_damaged_record_go_too_once_its_process_is_gone(jobs):
    job = begin(jobs)
    job.folder.record.write_bytes(b"{")
    jobs.tidy()
    assert (job.folder.path / UPLOAD).exists()
    die(job)
    jobs.tidy()
    assert not (job.folder.path / UPLOAD).exists()


def test_the_latest_records_are_kept_newest_first(jobs):
    ids = []
    for _ in range(KEPT + 3):
        job = begin(jobs)
        job.finish("completed")
        ids.append(job.folder.id)
    jobs.tidy()
    assert [record["id"] for record in jobs.records()] == ids[:2:-1]
    assert names(jobs) == set(ids[3:])


def test_drafts_of_the_dead_are_deleted_and_those_of_the_living_kept(jobs):
    dead, living = jobs.draft(), jobs.draft()
    (dead.folder.path / UPLOAD).write_text("personal data")
    os.close(dead.lock)
    jobs.tidy()
    assert names(jobs) == {living.folder.path.name}
    assert jobs.records() == []
    jobs.discard(living)
    assert names(jobs) == set()


def test_a_store_without_trainings_is_left_alone(jobs):
    jobs.tidy()
    jobs.refuse_second()
    assert jobs.records() == []
    assert not jobs.directory.parent.exists()


def test_a_store_that_cannot_be_tidied_is_served_all_the_same(jobs, caplog, monkeypatch):
    begin(jobs).finish("completed")

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(jobs_module, "exclusive", read_only)
    jobs.tidy()
    assert "Read-only file system" in caplog.text
    assert len(jobs.records()) == 1


def test_of_many_that_begin_at_once_exactly_one_does(jobs):
    begun, refused = [], []
    drafts = [jobs.draft() for _ in range(20)]
    gate = threading.Barrier(len(drafts))

    def one(draft: jobs_module.Draft) -> None:
        gate.wait()
        try:
            begun.append(jobs.begin(draft, "", "", OPTIONS, UPLOAD, 0))
        except TrainingRunning as error:
            refused.append(str(error))

    threads = [threading.Thread(target=one, args=[draft]) for draft in drafts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (job,) = begun
    assert len(refused) == 19
    assert all(job.folder.id in text for text in refused)
    assert names(jobs) == {job.folder.id}
    job.finish("completed")


def test_a_draft_that_cannot_begin_for_want_of_room_is_discarded(jobs, monkeypatch):
    draft = jobs.draft()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write", full)
        with pytest.raises(StoreNotWritable, match="No space"):
            jobs.begin(draft, "", "", OPTIONS, UPLOAD, 0)
    assert names(jobs) == set()
    begin(jobs).finish("completed")


def test_the_log_is_empty_before_anything_is_said(jobs):
    job = begin(jobs)
    assert jobs.log(job.folder.id) == b""
    job.folder.log.write_text("said\n")
    assert jobs.log(job.folder.id) == b"said\n"
    job.finish("completed")
