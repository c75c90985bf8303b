"""A dozen activations back and forth while four gunicorn workers answer single predictions without a pause.

Most of them follow each other at once, which is the harder case for whoever answers meanwhile; after the others there
is time to see that every worker has followed.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import pytest
import urllib3
from fakes.changes import InMemoryChangeLog, InMemoryOrders, InMemoryOutboxes, recorder
from fakes.deletions import InMemoryTransactions
from test_model_server import Server, running

from gateway.data_access.model_service.client import ModelServiceClient
from gateway.data_access.model_service.registry import Deadlines, HttpRegistry
from gateway.services.errors import ModelServiceError, RegistryRefusal
from gateway.services.models.activations import ActivationService, ModelHistory
from model_service.store.artefact import MODEL_FILE
from model_service.store.registry import ModelStore
from model_service.training.dataset import read_customers
from model_service.training.fitted import save
from model_service.training.parallel import NoProgress
from model_service.training.trainer import Options, train_version
from shared.contract import PREDICT
from shared.features import INPUTS
from shared.model_contract import MODELS
from shared.secret_rules import MODEL_SERVICE_SECRET_IN_DEVELOPMENT

ACTIVATIONS = 12
AT_ONCE = 10
CLIENTS = 6
FOLLOWED_WITHIN = 2.0
"""Seconds after an activation from which on nobody may answer from the old version: ten times what the workers need."""
POLL = {"MODEL_WORKERS": "4", "MODEL_POLL_SECONDS": "0.2"}
REQUESTS_PER_CONNECTION = 10
"""A connection stays with one worker, so that each client changes it now and then."""
PAUSE = 0.02
HEADERS = {"content-type": "application/json", "authorization": f"Bearer {MODEL_SERVICE_SECRET_IN_DEVELOPMENT}"}


class Load:
    """Clients that send one prediction after the other and keep what came back.

    Attributes
    ----------
    answers : (moment at which the request was sent, version that answered).
    failures : whatever was no prediction.
    """

    def __init__(self, server: Server, customer: dict[str, Any]) -> None:
        self._address = f"http://127.0.0.1:{server.port}{PREDICT}"
        self._body = json.dumps(customer).encode()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]
        self.answers: list[tuple[float, str]] = []
        self.failures: list[object] = []

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            with urllib3.PoolManager(retries=False, timeout=10) as pool:
                for _ in range(REQUESTS_PER_CONNECTION):
                    self._ask(pool)
                    time.sleep(PAUSE)

    def _ask(self, pool: urllib3.PoolManager) -> None:
        sent = time.monotonic()
        try:
            answer = pool.request("POST", self._address, body=self._body, headers=HEADERS)
            if answer.status != 200:
                raise ValueError(answer.data)
            self.answers.append((sent, answer.json()["model_version"]))
        except (OSError, urllib3.exceptions.HTTPError, ValueError, LookupError) as error:
            self.failures.append(error)


@pytest.fixture
def store(sample_csv: Path, tmp_path: Path, few_refits: None) -> ModelStore:
    """A store with two versions, trained on few customers; the first one is active."""
    csv = tmp_path / "few.csv"
    csv.write_text("".join(sample_csv.read_text().splitlines(keepends=True)[:401]))
    store = ModelStore(tmp_path / "models")
    first = train_version(store, read_customers(csv), Options(ks=(3,)), NoProgress())["version"]
    store.activate(first)
    save(store, joblib.load(store.path(first) / MODEL_FILE), store.manifest(first))
    return store


def test_every_worker_follows_in_time_and_no_request_fails(store: ModelStore, sample_csv: Path, tmp_path: Path) -> None:
    first, second = store.versions()
    frame = read_customers(sample_csv).frame[[f.name for f in INPUTS]].head(1)
    customer = json.loads(frame.to_json(orient="records"))[0]
    spans: list[tuple[float, float, str]] = []  # (from, to, the only version that may answer what is sent between)
    with (
        running(store.directory, tmp_path / "server.log", "gunicorn", **POLL) as server,
        Load(server, customer) as load,
    ):
        for n in range(ACTIVATIONS):
            version = (second, first)[n % 2]
            if n % 4 < 2:  # by one of the workers, which is the first to serve it
                server.json("POST", f"{MODELS}/{version}/activate", {"reason": f"activation {n}"})
            else:  # by another process beside the service
                store.activate(version, f"activation {n}")
            if n >= AT_ONCE:
                activated = time.monotonic()
                time.sleep(FOLLOWED_WITHIN + 0.3)
                spans.append((activated + FOLLOWED_WITHIN, time.monotonic(), version))

    assert load.failures == []
    assert {version for _, version in load.answers} == {first, second}
    for start, end, version in spans:
        answered = [by for sent, by in load.answers if start <= sent < end]
        assert answered, "there was load all the time"
        assert set(answered) == {version}
    reasons = [entry["reason"] for entry in store.active.read()["history"]]
    assert reasons[1:] == [f"activation {n}" for n in range(ACTIVATIONS)]
    assert "Traceback" not in server.log.read_text()
    assert " ERROR " not in server.log.read_text()


def test_the_audit_trail_tells_all_that_happened_and_nothing_else(store: ModelStore, tmp_path: Path) -> None:
    """Two gateways and the command line switch at once; some answers come too late, and one gateway dies on the way."""
    versions, changes, transactions = store.versions(), InMemoryChangeLog(), InMemoryTransactions()
    outboxes = InMemoryOutboxes(changes)
    orders = InMemoryOrders(outboxes)
    with running(store.directory, tmp_path / "server.log", "gunicorn", **POLL) as server:
        client = ModelServiceClient(f"http://127.0.0.1:{server.port}", MODEL_SERVICE_SECRET_IN_DEVELOPMENT)
        registries = [HttpRegistry(client, Deadlines(10.0, 10.0, changing)) for changing in (10.0, 10.0, 0.03)]

        def switch(place: int) -> None:
            registry = registries[place % 3]
            history = ModelHistory(registry, outboxes, orders, transactions)
            service = ActivationService(registry, recorder(outboxes, orders), orders, history)
            for turn in range(8):
                with contextlib.suppress(RegistryRefusal, ModelServiceError):
                    if (place + turn) % 3:
                        service.activate(versions[turn % 2], {"force": True, "reason": "turn"})
                    elif place == 3:
                        store.activate(versions[turn % 2], "beside the service", force=True)
                    else:
                        service.roll_back({})

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(switch, range(6)))
        time.sleep(1)  # what was too late is done by now
        happened = [e for e in store.active.read()["history"] if "id" in e]
        for _ in range(2):
            ModelHistory(registries[0], outboxes, orders, transactions).run_once()
    outboxes.move(10_000)
    logged = changes.after(0, None, 10_000)
    told = [e for e in logged if e["data"].get("outcome") is None]
    assert [(e["before"], e["after"]) for e in told] == [(e["before"], e["version"]) for e in happened]
    assert [e["before"] for e in told[1:]] == [e["after"] for e in told[:-1]]
    assert all(e["before"] != e["after"] or e["type"] == "model.rolled_back" for e in told)
    assert len({e["id"] for e in told}) == len(happened) > 10
