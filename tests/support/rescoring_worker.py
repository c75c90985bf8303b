"""A worker in a process of its own that scores customers anew by a fake model, slowly enough to be killed meanwhile.

``python -m support.rescoring_worker URI``: says ``begun`` when it is about to begin, and goes on until it is killed.
"""

from __future__ import annotations

import sys
import time

from fakes.model import FakeModel
from fakes.registry import FakeRegistry
from flask import Flask

from gateway.services.assignments import reconciler, rescorings
from gateway.services.assignments.reconciler import Reconciler
from gateway.settings import Settings
from gateway.stores import Stores, connect, mongo_stores
from gateway.wiring import assemble
from shared.model_contract import Activation

VERSION = "v2"
ROLLBACK = Activation(
    version=VERSION,
    at="2030-05-01T12:00:00Z",
    kind="rollback",
    reason="",
    by="Ada",
    forced=False,
    id="event-7",
    number=7,
    before="v1",
)
"""What made the model's version the active one."""
BATCH, TIMEOUT, PAUSE = 20, 1.0, 0.005


def worker_of(stores: Stores) -> Reconciler:
    """Return a worker's duty, with a model whose version is the active one because of `ROLLBACK`."""
    registry = FakeRegistry()
    registry.history = [ROLLBACK]
    return assemble(stores, FakeModel(VERSION), registry, Settings()).assignments.reconciler


if __name__ == "__main__":
    reconciler.BATCH, rescorings.WORKER_TIMEOUT = BATCH, TIMEOUT
    settings = Settings(mongodb_uri=sys.argv[1])
    worker = worker_of(mongo_stores(connect(Flask("worker"), settings), settings))
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    while True:
        worker.run_once()
        time.sleep(PAUSE)
