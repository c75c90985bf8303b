from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgi_client import HEADERS, Answer, AsgiClient, assert_problem

from model_service.api import bodies, trainings
from model_service.training_jobs import jobs
from model_service.training_jobs.folder import Folder
from model_service.training_jobs.job import Job
from model_service.training_jobs.jobs import TrainingJobs
from shared.model_contract import CSV, MODELS, NDJSON, PARQUET, TRAININGS, TSV, Training

LIMIT = 4096


class Processes:
    """Stands for the processes of trainings: they hold their locks and do nothing."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def start(self, _jobs: TrainingJobs, job: Job, _ended: object) -> None:
        self.jobs.append(job)


@pytest.fixture
def processes(monkeypatch) -> Iterator[Processes]:
    processes = Processes()
    monkeypatch.setattr(trainings, "start_process", processes.start)
    yield processes
    for job in processes.jobs:
        job.finish("completed")


@pytest.fixture
def service(connect, tmp_path, processes) -> AsgiClient:
    return connect(model_store=tmp_path / "models", max_upload_bytes=LIMIT)


def post(service: AsgiClient, body: bytes | list[bytes] = b"x", query: str = "", **headers: str) -> Answer:
    return service.request("POST", MODELS + query, body, {"content-type": CSV, **headers})


def left(tmp_path: Path) -> list[str]:
    """What lies in the store, except locks."""
    return sorted(path.name for path in (tmp_path / "models").rglob("*") if not path.name.endswith("lock"))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (CSV, "upload.csv"),
        (f"{CSV}; charset=utf-8", "upload.csv"),
        ('TEXT/csv;charset="UTF8"', "upload.csv"),
        (TSV, "upload.tsv"),
        (NDJSON, "upload.ndjson"),
        (PARQUET, "upload.parquet"),
    ],
)
def test_an_uploaded_file_becomes_a_training(service, processes, kind, name):
    accepted = service.request(
        "POST",
        f"{MODELS}?k_min=2&k_max=4&seed=7&activate=true&by=ann&note=q3&columns=BALANCE:Saldo",
        [b"one", b"", b"two"],
        {"content-type": kind},
    )
    assert accepted.status == 202, accepted.body
    record = accepted.json()
    assert set(record) == set(Training.__annotations__)
    assert accepted.headers["location"] == f"{TRAININGS}/{record['id']}"
    assert record["status"] == "queued"
    columns = {"BALANCE": "Saldo"}
    assert record["options"] == {"k_min": 2, "k_max": 4, "seed": 7, "activate": True, "columns": columns}
    assert (record["by"], record["note"], record["data"], record["bytes"]) == ("ann", "q3", name, 6)
    (job,) = processes.jobs
    assert (job.folder.path / name).read_bytes() == b"onetwo"
    assert service.get(accepted.headers["location"]).json() == record
    assert service.get(TRAININGS).json() == {"items": [record]}


def test_a_file_larger_than_a_block_is_written_whole(connect, processes, tmp_path):
    service = connect(model_store=tmp_path / "models")
    chunks = [bytes([i]) * 300_000 for i in range(9)]
    assert post(service, chunks).json()["bytes"] == 2_700_000
    assert (processes.jobs[0].folder.path / "upload.csv").read_bytes() == b"".join(chunks)


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "", "text/csvx", "multipart/form-data; boundary=x"])
def test_another_media_type_is_refused(service, processes, tmp_path, kind):
    body = assert_problem(post(service, **{"content-type": kind}), 415, "unsupported_media_type")
    assert CSV in body["detail"]
    assert PARQUET in body["detail"]
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("kind", [CSV, TSV, NDJSON])
def test_another_charset_is_refused(service, processes, kind):
    answer = post(service, **{"content-type": f"{kind}; charset=iso-8859-1"})
    assert_problem(answer, 415, "unsupported_media_type")
    assert "UTF-8" in answer.json()["detail"]


def test_too_large_a_file_is_refused_before_it_is_read_and_while_it_is(service, processes, tmp_path):
    too_much = b"x" * (LIMIT + 1)
    assert_problem(post(service, b"x", **{"content-length": str(len(too_much))}), 413, "body_too_large")
    assert_problem(post(service, too_much), 413, "body_too_large")
    assert_problem(post(service, [b"x"] * (LIMIT + 1), **{"content-length": "1"}), 413, "body_too_large")
    assert left(tmp_path) == ["trainings"]
    assert post(service, b"x" * LIMIT).status == 202


def test_an_empty_file_is_refused(service, processes, tmp_path):
    assert_problem(post(service, b""), 422, "validation_failed", [""])
    assert left(tmp_path) == ["trainings"]


def test_wrong_parameters_are_named_before_the_file_is_read(service, processes, tmp_path):
    assert_problem(post(service, query="?k=1&colour=red"), 422, "validation_failed", ["?k", "?colour"])
    assert not (tmp_path / "models").exists()


def test_a_second_training_is_refused_with_the_id_of_the_first(service, processes, tmp_path):
    first = post(service).json()
    body = assert_problem(post(service), 409, "training_running")
    assert first["id"] in body["detail"]
    assert left(tmp_path) == sorted(["trainings", first["id"], "record.json", "upload.csv"])
    processes.jobs[0].finish("completed")
    assert post(service).status == 202


def test_of_many_at_once_exactly_one_is_accepted(service, processes, tmp_path):
    async def many() -> list[Answer]:
        calls = [service._call("POST", MODELS, [b"x", b"y"], {"content-type": CSV}) for _ in range(20)]
        return await asyncio.gather(*calls)

    answers = service._runner.run(many())
    accepted = [answer.json()["id"] for answer in answers if answer.status == 202]
    assert len(accepted) == len(processes.jobs) == 1
    for answer in answers:
        if answer.status != 202:
            assert accepted[0] in assert_problem(answer, 409, "training_running")["detail"]
    assert left(tmp_path) == sorted(["trainings", accepted[0], "record.json", "upload.csv"])


def broken_off(service: AsgiClient, *messages: dict[str, Any], then: Any = None) -> list[Any]:
    """Send part of an upload; then the client leaves, or does what `then` does. Return what is answered."""
    sent: list[Any] = []
    waiting = list(messages)

    async def receive() -> Any:
        if waiting:
            return waiting.pop(0)
        return await then() if then else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": MODELS, "raw_path": MODELS.encode(), "query_string": b""}
    headers = {"content-type": CSV, **HEADERS}
    scope |= {"headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    scope |= {"http_version": "1.1", "root_path": "", "scheme": "http"}
    service._runner.run(service.app(scope, receive, send))
    return sent


def test_a_client_that_leaves_leaves_nothing_behind(service, processes, tmp_path):
    part = {"type": "http.request", "body": b"half a customer", "more_body": True}
    assert broken_off(service, part, part) == []
    assert left(tmp_path) == ["trainings"]
    assert processes.jobs == []


def test_a_client_that_falls_silent_is_told_and_leaves_nothing_behind(service, processes, tmp_path, monkeypatch):
    monkeypatch.setattr(bodies, "READ_TIMEOUT_SECONDS", 0.01)
    part = {"type": "http.request", "body": b"half a customer", "more_body": True}
    start, body = broken_off(service, part, then=asyncio.Event().wait)
    assert start["status"] == 408
    assert b"request_timeout" in body["body"]
    assert left(tmp_path) == ["trainings"]


def test_a_request_that_is_cancelled_leaves_nothing_behind(service, processes, tmp_path):
    async def stop() -> None:
        raise asyncio.CancelledError

    part = {"type": "http.request", "body": b"half a customer", "more_body": True}
    with contextlib.suppress(asyncio.CancelledError):
        broken_off(service, part, then=stop)
    assert left(tmp_path) == ["trainings"]


def test_a_full_disk_is_told_and_nothing_is_left_behind(service, processes, tmp_path, monkeypatch):
    real = Path.open

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, _block: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(
        Path,
        "open",
        lambda path, mode="r", **rest: Full(real(path, mode)) if mode == "xb" else real(path, mode, **rest),
    )
    body = assert_problem(post(service), 507, "store_not_writable")
    assert "No space left on device" in body["detail"]
    assert left(tmp_path) == ["trainings"]


def test_a_record_that_cannot_be_written_is_told_and_nothing_is_left_behind(service, processes, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write", full)
        assert_problem(post(service), 507, "store_not_writable")
    assert left(tmp_path) == ["trainings"]
    assert post(service).status == 202


def test_a_process_that_cannot_be_started_is_a_failed_training(connect, tmp_path, monkeypatch):
    def none_left(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(jobs.subprocess, "Popen", none_left)
    service = connect(model_store=tmp_path / "models")
    record = post(service).json()
    assert record["status"] == "failed"
    assert record["reason"] == "The training process could not be started: Resource temporarily unavailable."
    assert "upload.csv" not in left(tmp_path)


def test_the_log_is_plain_text(service, processes):
    record = post(service).json()
    processes.jobs[0].folder.log.write_text("größer\n", encoding="utf-8")
    log = service.get(f"{TRAININGS}/{record['id']}/log")
    assert (log.status, log.body.decode()) == (200, "größer\n")
    assert log.headers["content-type"] == "text/plain; charset=utf-8"


def test_cancelling_asks_the_process_and_an_ended_training_cannot_be_cancelled(service, processes):
    record = post(service).json()
    asked = service.request("POST", f"{TRAININGS}/{record['id']}/cancel", b"")
    assert (asked.status, asked.json()["id"]) == (202, record["id"])
    assert processes.jobs[0].folder.cancel.exists()
    processes.jobs[0].finish("cancelled")
    assert_problem(service.request("POST", f"{TRAININGS}/{record['id']}/cancel", b""), 409, "training_ended")


def test_a_dead_training_is_failed_for_whoever_asks(service, processes):
    record = post(service).json()
    os.close(processes.jobs.pop().lock)
    assert service.get(f"{TRAININGS}/{record['id']}").json()["status"] == "failed"
    assert [r["status"] for r in service.get(TRAININGS).json()["items"]] == ["failed"]
    assert post(service).status == 202


def test_the_start_of_the_service_deletes_what_dead_ones_left(connect, service, processes, tmp_path):
    record = post(service).json()
    os.close(processes.jobs.pop().lock)
    os.close(TrainingJobs(tmp_path / "models").draft().lock)
    connect(model_store=tmp_path / "models")
    assert left(tmp_path) == sorted(["trainings", record["id"], "record.json"])


@pytest.mark.parametrize(
    "identity",
    [
        "..",
        "%2e%2e",
        "20260101T000000.000000Z-00ff",
        "\0",
        ".lock",
        "..\\..",
        "x" * 3000,
        "é",
        "20260101T000000.000000Z-00ff\n",
    ],
)
@pytest.mark.parametrize(("method", "rest"), [("GET", ""), ("GET", "/log"), ("POST", "/cancel")])
def test_an_unknown_or_hostile_id_is_not_found(service, processes, method, identity, rest):
    post(service)
    assert_problem(service.request(method, f"{TRAININGS}/{identity}{rest}", b""), 404, "training_not_found")


@pytest.mark.parametrize("identity", ["../models", "a/b", "/etc/passwd", "../../etc"])
def test_an_id_with_slashes_leads_nowhere(service, identity):
    assert_problem(service.get(f"{TRAININGS}/{identity}"), 404, "not_found")


def test_without_a_store_the_list_is_empty(service, tmp_path):
    assert service.get(TRAININGS).json() == {"items": []}
    assert not (tmp_path / "models").exists()


def test_the_openapi_text_describes_trainings(service):
    paths = service.get("/openapi.json").json()["paths"]
    create = paths[MODELS]["post"]
    known = {"k", "k_min", "k_max", "columns", "seed", "activate", "by", "note", "name", "stored"}
    assert {p["name"] for p in create["parameters"]} == known
    assert set(create["requestBody"]["content"]) == {CSV, TSV, NDJSON, PARQUET}
    assert {"202", "409", "413", "415", "422"} <= set(create["responses"])
    for rest, method in (("", "get"), ("/log", "get"), ("/cancel", "post")):
        described = paths[f"{TRAININGS}/{{id}}{rest}"][method]
        assert [p["name"] for p in described["parameters"]] == ["id"]
        assert "404" in described["responses"]


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", "no-such", '""'])
def test_a_file_in_another_charset_is_refused(service, processes, charset):
    answer = service.request("POST", MODELS, b"x", {"content-type": f"{CSV}; charset={charset}"})
    assert_problem(answer, 415, "unsupported_media_type")
    assert processes.jobs == []
