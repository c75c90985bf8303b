"""A customer's id is taken out of what trainings have said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from asgi_client import AsgiClient, assert_problem

from model_service.store.errors import TrainingRunning
from model_service.training.dataset import DataRefused, read_customers
from model_service.training_jobs.folder import ERASED, UPLOADS, without
from model_service.training_jobs.job import Job
from model_service.training_jobs.jobs import TrainingJobs
from shared.features import CUST_ID, INPUT_NAMES
from shared.model_contract import CSV, ERASURES, TRAININGS, TrainingOptions

REASON = "2 CUST_ID values occur more than once: C10001, C10002 and 3 more"


@pytest.fixture
def jobs(tmp_path: Path) -> TrainingJobs:
    return TrainingJobs(tmp_path / "models")


@pytest.fixture
def service(connect, jobs) -> AsgiClient:
    return connect(model_store=jobs.directory.parent)


def begin(jobs: TrainingJobs, note: str = "", by: str = "ann") -> Job:
    return jobs.begin(
        jobs.draft(), by, note, TrainingOptions(k_min=3, k_max=3, seed=1, activate=False), UPLOADS[CSV], 1
    )


def failed(jobs: TrainingJobs, reason: str = REASON, said: bytes | None = None, note: str = "", by: str = "ann") -> Job:
    job = begin(jobs, note, by)
    job.folder.log.write_bytes(f"failed: {reason}\n".encode() if said is None else said)
    job.finish("failed", reason)
    return job


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("more than once: C1, C2", "more than once: [erased], C2"),
        ("C1", "[erased]"),
        ("only C1. And C1.", "only [erased]. And [erased]."),
        ("'C1': (C1)", "'[erased]': ([erased])"),
        ("C10, xC1, C1x, C1.csv, C1-2, a.C1, a-C1, C1_", None),
        ("", None),
    ],
)
def test_whole_ids_only(text, left):
    assert without(text, "C1") == (text if left is None else left)


@pytest.mark.parametrize(("cust_id", "text"), [("a.b", "axb"), ("...", "abc"), ("a-b", "a-bc")])
def test_an_id_is_no_pattern(cust_id, text):
    assert without(text, cust_id) == text
    assert without(f"once: {cust_id}, c", cust_id) == f"once: {ERASED}, c"


LONG = "Customer-4711." + "x" * 50


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (LONG, "[erased]"),
        (f"'{LONG[:40]}'", "'[erased]'"),
        (f'"{LONG[:40]}"', '"[erased]"'),
        (f"'{'Mr. and Mrs. ':>26}{LONG[:14]}'", f"'{'Mr. and Mrs. ':>26}[erased]'"),
        (f"'{'y' * 26}{LONG[:14]}'", None),  # the end of another word
        (f"'{' ' * 35}{LONG[:5]}'", None),  # nobody knows whose
        (f"'{LONG[:39]}'", None),  # no quote that was cut off: another id
        (LONG[:40], None),
    ],
)
def test_an_id_that_a_quote_cut_off(said, left):
    text = f"BALANCE must be a number, not {said}"
    assert without(text, LONG) == (text if left is None else f"BALANCE must be a number, not {left}")


def test_a_training_quotes_nothing_of_a_cell(tmp_path):
    file = tmp_path / "customers.csv"
    names = [CUST_ID, *INPUT_NAMES]
    file.write_text(",".join(names) + "\n" + ",".join("1" if name != "BALANCE" else LONG for name in names) + "\n")
    with pytest.raises(DataRefused) as caught:
        read_customers(file)
    assert "line 2: BALANCE must be a number" in str(caught.value)
    assert LONG[:8] not in str(caught.value)


def test_an_id_where_a_header_should_be_is_shown_whole_and_found(tmp_path):
    file = tmp_path / "customers.csv"
    file.write_text(",".join([LONG, *"1" * len(INPUT_NAMES)]) + "\n")
    with pytest.raises(DataRefused) as caught:
        read_customers(file)
    assert LONG in str(caught.value)
    assert LONG[:8] not in without(str(caught.value), LONG)


def test_record_and_log_quote_the_customer_no_more(jobs):
    quoting, other = failed(jobs, note="without C10001", by="C10001"), failed(jobs, "killed")
    before = jobs.get(other.folder.id)
    assert jobs.erase("C10001") == 2
    record = jobs.get(quoting.folder.id)
    assert (record["reason"], record["note"]) == (REASON.replace("C10001", ERASED), "without [erased]")
    assert record["by"] == "[erased]"
    assert jobs.log(quoting.folder.id) == f"failed: {record['reason']}\n".encode()
    assert jobs.get(other.folder.id) == before
    assert not any(b"C10001" in path.read_bytes() for path in jobs.directory.rglob("*") if path.is_file())
    assert jobs.erase("C10001") == 0


def test_bytes_that_are_no_text_stay_as_they_are(jobs):
    job = failed(jobs, "killed", b"\xff C10001 \xc3")
    assert jobs.erase("C10001") == 1
    assert jobs.log(job.folder.id) == b"\xff [erased] \xc3"


def test_a_training_without_a_log_and_a_damaged_record(jobs):
    silent, damaged = failed(jobs), failed(jobs)
    silent.folder.log.unlink()
    damaged.folder.record.write_text("{")
    assert jobs.erase("C10001") == 2
    assert damaged.folder.record.read_text() == "{"


def test_while_a_training_runs_it_has_to_wait(jobs):
    job = begin(jobs)
    with pytest.raises(TrainingRunning):
        jobs.erase("C10001")
    job.finish("failed", REASON)
    assert jobs.erase("C10001") == 1


def test_while_customers_are_received_it_has_to_wait(jobs):
    draft = jobs.draft()
    with pytest.raises(TrainingRunning, match="uploaded"):
        jobs.erase("C10001")
    jobs.discard(draft)
    assert jobs.erase("C10001") == 0


def test_what_a_dead_process_left_is_not_waited_for(jobs):
    draft, job = jobs.draft(), begin(jobs)
    for lock in (draft.lock, job.lock):
        os.close(lock)
    assert jobs.erase("C10001") == 0
    assert jobs.get(job.folder.id)["status"] == "failed"


def test_without_a_store_there_is_nothing_and_nothing_is_made(jobs):
    assert jobs.erase("C10001") == 0
    assert not jobs.directory.parent.exists()


class TestOverHttp:
    def test_answers_how_many_quoted_it(self, service, jobs):
        identity = failed(jobs).folder.id
        answer = service.post(ERASURES, {"CUST_ID": "C10001"})
        assert (answer.status, answer.json()) == (200, {"erased": 2})
        assert "C10001" not in service.get(f"{TRAININGS}/{identity}").body.decode()
        assert "C10001" not in service.get(f"{TRAININGS}/{identity}/log").body.decode()

    def test_while_a_training_runs(self, service, jobs):
        job = begin(jobs)
        assert_problem(service.post(ERASURES, {"CUST_ID": "C10001"}), 409, "training_running")
        job.finish("completed")

    @pytest.mark.parametrize(
        ("sent", "pointer"),
        [
            ({}, "/CUST_ID"),
            ({"CUST_ID": "a b"}, "/CUST_ID"),
            ({"CUST_ID": ".."}, "/CUST_ID"),
            ({"CUST_ID": 5}, "/CUST_ID"),
            ({"CUST_ID": None}, "/CUST_ID"),
            ({"CUST_ID": "A", "all": True}, "/all"),
            ([], ""),
        ],
    )
    def test_bad_bodies(self, service, sent, pointer):
        assert_problem(service.post(ERASURES, sent), 422, "validation_failed", [pointer])

    def test_is_described(self, service):
        described = service.get("/openapi.json").json()["paths"][ERASURES]["post"]
        assert {"200", "400", "409", "413", "415", "422", "507"} <= set(described["responses"])
