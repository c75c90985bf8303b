"""Trainings as processes of their own, under a service as a process: killed, cancelled, outlived."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from support.servers import free_port

from model_service.training_jobs.jobs import PROCESS_DIED, TrainingJobs
from model_service.training_jobs.run import NICENESS
from shared.contract import READY
from shared.model_contract import CSV, MODELS, NDJSON, PARQUET, TRAININGS
from shared.secret_rules import MODEL_SERVICE_SECRET_IN_DEVELOPMENT

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT = 90.0
ONE_K = "?k=3"
LINE = b"\n"
LONG = "?k_min=2&k_max=20"
"""So many fits that a training is met in the middle of them."""


def until(reached: Callable[[], Any], what: str) -> Any:
    give_up_at = time.monotonic() + TIMEOUT
    while not (found := reached()):
        assert time.monotonic() < give_up_at, f"not reached: {what}"
        time.sleep(0.05)
    return found


class Service:
    """A model service with two workers that can be killed and started again on the same store."""

    def __init__(self, folder: Path, server: str) -> None:
        self.store = folder / "models"
        self.log = folder / "server.log"
        self.port = free_port()
        self._server = server
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        commands = {
            "uvicorn": ["model_service", "serve"],
            "gunicorn": ["gunicorn", "-c", "python:model_service.gunicorn_conf", "model_service.app:create_app()"],
        }
        environment = {"MODEL_STORE": str(self.store), "MODEL_PORT": str(self.port), "MODEL_WORKERS": "2"}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *commands[self._server]],
                cwd=ROOT,
                env={**os.environ, **environment, "MODEL_POLL_SECONDS": "0.2"},
                stdout=output,
                stderr=output,
            )
        until(self.lives, "the service answers")

    def lives(self) -> bool:
        with contextlib.suppress(OSError):
            return self.request("GET", "/health/live")[0] == 200
        return False

    def kill(self) -> None:
        """Kill the server and its workers as the kernel does, but no training."""
        assert self.process is not None
        workers = psutil.Process(self.process.pid).children(recursive=True)
        for process in [psutil.Process(self.process.pid), *(w for w in workers if not is_training(w))]:
            process.kill()
        self.process.wait(TIMEOUT)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(TIMEOUT)

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            key = {"authorization": f"Bearer {MODEL_SERVICE_SECRET_IN_DEVELOPMENT}"}
            connection.request(method, path, body, {**key, **headers})
            answer = connection.getresponse()
            content = answer.read()
        return answer.status, json.loads(content) if "json" in answer.headers["content-type"] else content

    def train(self, content: bytes, query: str, kind: str = CSV) -> dict[str, Any]:
        status, record = self.request("POST", MODELS + query, content, **{"content-type": kind})
        assert status == 202, record
        return record

    def record(self, identity: str) -> dict[str, Any]:
        return self.request("GET", f"{TRAININGS}/{identity}")[1]

    def text(self, identity: str) -> str:
        return self.request("GET", f"{TRAININGS}/{identity}/log")[1].decode()

    def ended(self, identity: str) -> dict[str, Any]:
        def record() -> dict[str, Any] | None:
            found = self.record(identity)
            return found if found["status"] not in ("queued", "running") else None

        return until(record, "the training has ended")

    def midway(self, identity: str) -> psutil.Process:
        """Wait until a training is in the middle of its fits; return its process."""

        def fits() -> bool:
            record = self.record(identity)
            assert record["status"] in ("queued", "running"), record
            return 0 < record["progress"]["done"] < record["progress"]["total"]

        until(fits, "the training fits")
        (process,) = (p for p in psutil.process_iter() if is_training(p) and identity in " ".join(p.cmdline()))
        return process

    def files(self, identity: str) -> set[str]:
        return {path.name for path in (self.store / "trainings" / identity).iterdir() if not path.name.startswith(".")}


def is_training(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return "model_service.training_jobs.run" in process.cmdline()
    return False


@pytest.fixture(scope="module")
def customers(sample_csv: Path) -> bytes:
    return b"".join(sample_csv.read_bytes().splitlines(keepends=True)[:400])


@contextlib.contextmanager
def serving(folder: Path, server: str) -> Iterator[Service]:
    service = Service(folder, server)
    service.start()
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service"), "uvicorn") as service:
        yield service


@pytest.fixture(scope="module")
def under_gunicorn(tmp_path_factory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("gunicorn"), "gunicorn") as service:
        yield service


def test_an_upload_becomes_the_active_model(service, customers):
    queued = service.train(customers, ONE_K + "&activate=true&by=ann&note=first")
    process = service.midway(queued["id"])
    assert process.nice() == NICENESS
    record = service.ended(queued["id"])
    assert (record["status"], record["activated"], record["reason"]) == ("completed", True, None), record
    assert record["progress"]["done"] == record["progress"]["total"] > 0
    until(lambda: service.request("GET", READY)[1].get("model_version") == record["version"], "it serves")
    text = service.text(record["id"])
    for said in ("reading the data", "silhouette", "seg-01", f"stored as {record['version']}", "activated"):
        assert said in text
    assert str(service.store) not in text
    assert service.files(record["id"]) == {"record.json", "log.txt", "lock"}
    until(lambda: not process.is_running(), "no zombie is left")
    page, lines = told(service, record)
    assert f"{customers.count(LINE) - 1} customers in an uploaded CSV file" in page
    assert ">line " in page
    assert None not in lines


def test_stored_customers_in_parquet_train_too_and_are_called_so_in_the_report(service, customers, tmp_path):
    pd.read_csv(io.BytesIO(customers)).to_parquet(tmp_path / "customers.parquet")
    content, query = (tmp_path / "customers.parquet").read_bytes(), f"{ONE_K}&stored=true&note=the+spring+campaign"
    record = service.ended(service.train(content, query, PARQUET)["id"])
    assert (record["status"], record["activated"]) == ("completed", False), record
    page, lines = told(service, record)
    assert f"{customers.count(LINE) - 1} stored customers, " in page
    assert "the spring campaign" in page
    assert ">line " not in page
    assert lines == {None}


def test_a_named_ndjson_file_with_a_name_of_the_banks_own_trains_too(service, customers):
    table = pd.read_csv(io.BytesIO(customers)).rename(columns={"BALANCE": "Saldo", "TENURE": "tenure"})
    content = table.to_json(orient="records", lines=True).encode() + b"\n\n"
    queued = service.train(content, f"{ONE_K}&columns=BALANCE:Saldo&name=march.ndjson", NDJSON)
    assert queued["options"]["columns"] == {"BALANCE": "Saldo"}
    record = service.ended(queued["id"])
    assert (record["status"], record["data"]) == ("completed", "march.ndjson"), record
    text = service.text(record["id"])
    assert "note: BALANCE is read from 'Saldo'" in text
    assert "note: blank rows, skipped: 2" in text
    assert service.files(record["id"]) == {"record.json", "log.txt", "lock"}
    page, lines = told(service, record)
    assert f"{customers.count(LINE) - 1} customers in march.ndjson" in page
    assert "the spring campaign" not in page
    assert None not in lines


def told(service: Service, record: dict[str, Any]) -> tuple[str, set[int | None]]:
    """Return a version's report, and the lines that its manifest names of the file."""
    folder = service.store / record["version"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "upload." not in page
    members = json.loads((folder / "manifest.json").read_bytes())["evidence"]["segments"].values()
    return page, {m["line"] for segment in members for m in (*segment["typical"], *segment["borderline"])}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"A,B\n1,2\n", "upload.csv: The header does not fit: line 1 was read as 2 columns, 'A', 'B'"),
    ],
)
def test_useless_data_fail_with_the_reason(service, content, reason):
    record = service.ended(service.train(content, ONE_K)["id"])
    assert (record["status"], record["version"]) == ("failed", None)
    assert reason in record["reason"]
    assert str(service.store) not in record["reason"]
    until(lambda: record["reason"] in service.text(record["id"]), "its log says so too")  # it is written second
    assert "upload.csv" not in service.files(record["id"])


def test_a_reason_calls_the_customers_what_the_caller_does(service, customers):
    header = customers.splitlines(keepends=True)[0]
    record = service.ended(service.train(header, f"{ONE_K}&stored=true")["id"])
    assert (record["status"], record["reason"]) == ("failed", "The file of stored customers has no rows.")


@pytest.mark.parametrize("server", ["service", "under_gunicorn"])
def test_a_killed_training_has_failed_and_the_service_serves_on(request, server, customers):
    service: Service = request.getfixturevalue(server)
    queued = service.train(customers, LONG)
    process = service.midway(queued["id"])
    process.send_signal(signal.SIGKILL)
    record = service.ended(queued["id"])
    assert (record["status"], record["reason"], record["version"]) == ("failed", PROCESS_DIED, None)
    until(lambda: "upload.csv" not in service.files(queued["id"]), "the customers are deleted")
    until(lambda: not process.is_running(), "no zombie is left")
    assert service.request("GET", "/health/live")[0] == 200


def test_a_training_is_cancelled_in_the_middle_of_its_fits(service, customers):
    queued = service.train(customers, LONG)
    process = service.midway(queued["id"])
    assert service.request("POST", f"{TRAININGS}/{queued['id']}/cancel")[0] == 202
    record = service.ended(queued["id"])
    assert (record["status"], record["reason"], record["version"]) == ("cancelled", "cancelled on request", None)
    until(lambda: not process.is_running(), "its process has ended")
    assert "upload.csv" not in service.files(queued["id"])
    status, problem = service.request("POST", f"{TRAININGS}/{queued['id']}/cancel")
    assert (status, problem["code"]) == (409, "training_ended")


def test_a_queued_training_is_cancelled(service, customers):
    queued = service.train(customers, LONG)
    assert service.request("POST", f"{TRAININGS}/{queued['id']}/cancel")[0] == 202
    assert service.ended(queued["id"])["status"] == "cancelled"


def test_of_twenty_uploads_at_once_one_is_accepted(service, customers):
    def post(_: int) -> tuple[int, Any]:
        return service.request("POST", MODELS + LONG, customers, **{"content-type": CSV})

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(post, range(20)))
    (accepted,) = (answer["id"] for status, answer in answers if status == 202)
    refused = [answer for status, answer in answers if status != 202]
    assert {answer["code"] for answer in refused} == {"training_running"}
    assert all(accepted in answer["detail"] for answer in refused)
    service.request("POST", f"{TRAININGS}/{accepted}/cancel")
    service.ended(accepted)
    assert not list((service.store / "trainings").glob(".draft-*"))


@pytest.mark.parametrize("server", ["service", "under_gunicorn"])
def test_an_upload_that_is_broken_off_leaves_nothing(request, server, customers):
    service: Service = request.getfixturevalue(server)

    def drafts() -> list[Path]:
        return list((service.store / "trainings").glob(".draft-*"))

    head = f"POST {MODELS} HTTP/1.1\r\nhost: x\r\ncontent-type: {CSV}\r\ncontent-length: {len(customers)}\r\n"
    head += f"authorization: Bearer {MODEL_SERVICE_SECRET_IN_DEVELOPMENT}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(head.encode() + customers[: len(customers) // 2])
        until(drafts, "the upload has begun")
    until(lambda: not drafts(), "nothing is left of it")


def test_a_service_that_was_killed_tells_the_truth_when_it_is_back(service, customers):
    outlives = service.train(customers, ONE_K)["id"]
    service.midway(outlives)
    service.kill()
    service.start()
    assert service.record(outlives)["status"] in ("running", "completed")
    assert service.ended(outlives)["status"] == "completed"

    dies = service.train(customers, LONG)["id"]
    training = service.midway(dies)
    service.kill()
    training.kill()
    (service.store / "trainings" / ".draft-left").mkdir()
    service.start()
    until(lambda: "upload.csv" not in service.files(dies), "the customers are deleted")
    assert not (service.store / "trainings" / ".draft-left").exists()
    assert (service.record(dies)["status"], service.record(dies)["reason"]) == ("failed", PROCESS_DIED)
    another = service.train(customers, LONG)["id"]
    service.request("POST", f"{TRAININGS}/{another}/cancel")
    assert service.ended(another)["status"] == "cancelled"


def test_the_command_line_and_the_service_exclude_each_other(service, customers, tmp_path):
    (tmp_path / "customers.csv").write_bytes(customers)
    command = [sys.executable, "-m", "model_service", "train", str(tmp_path / "customers.csv")]
    command += ["--store", str(service.store), "--k-min", "2", "--k-max", "20", "--by", "ann"]

    queued = service.train(customers, LONG)["id"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 1
    assert queued in done.stderr
    assert len(done.stderr.splitlines()) == 1
    service.request("POST", f"{TRAININGS}/{queued}/cancel")
    service.ended(queued)

    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    jobs = TrainingJobs(service.store)
    record = until(lambda: (r := jobs.records()[0])["progress"]["done"] and r["by"] == "ann" and r, "it works")
    status, problem = service.request("POST", MODELS + ONE_K, customers, **{"content-type": CSV})
    assert (status, problem["code"]) == (409, "training_running")
    assert record["id"] in problem["detail"]
    assert service.request("POST", f"{TRAININGS}/{record['id']}/cancel")[0] == 202
    assert "The training was cancelled" in process.communicate(timeout=TIMEOUT)[1]
    assert process.returncode == 1
    assert service.ended(record["id"])["status"] == "cancelled"


def test_ctrl_c_leaves_no_rubbish(tmp_path, sample_csv):
    command = [sys.executable, "-m", "model_service", "train", str(sample_csv), "--store", str(tmp_path / "models")]
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite started with "&" inherits SIG_IGN
    try:
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, handler)
    jobs = TrainingJobs(tmp_path / "models")
    until(lambda: any(record["progress"]["done"] for record in jobs.records()), "it works")
    process.send_signal(signal.SIGINT)
    assert "Aborted!" in process.communicate(timeout=TIMEOUT)[1]
    (record,) = jobs.records()
    assert (record["status"], record["reason"]) == ("cancelled", "Stopped with Ctrl-C.")
    assert sorted(path.name for path in jobs.directory.parent.iterdir()) == [".training.lock", "trainings"]
