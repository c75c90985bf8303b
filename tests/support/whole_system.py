"""A whole system as processes, for tests that do something to it: gateway, workers, a real or a scripted tier 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.gateway_process import SERVERS
from support.servers import free_port
from support.under_fire import BULK_DEADLINE
from tests.e2e.conftest import UVICORN, WORKER, System

WORKERS = ("worker 1", "worker 2")
MONGODB_TIMEOUT = 2.0
NO_LIMITS = dict.fromkeys(("RATE_LIMIT", "RATE_LIMIT_BULK", "RATE_LIMIT_ANONYMOUS"), "100000000 per minute")


@contextmanager
def whole_system(
    folder: Path,
    uri: str,
    *,
    server: str = "granian",
    workers: Sequence[str] = WORKERS,
    models: Path | None = None,
    **settings: object,
) -> Iterator[System]:
    """Run a system on a database.

    Parameters
    ----------
    models : the model store of a real model service; None where `settings` name one (MODEL_SERVICE_URL).
    settings : environment variables.
    """
    port, model_port = free_port(), free_port()
    env = {
        "MONGODB_URI": uri,
        "MONGODB_TIMEOUT": MONGODB_TIMEOUT,
        "BULK_DEADLINE": BULK_DEADLINE,
        "MODEL_SERVICE_URL": f"http://127.0.0.1:{model_port}",
        "MODEL_PORT": model_port,
        "MODEL_STORE": models or "",
        "GATEWAY_PORT": port,
        "WORKER_INTERVAL": 0.2,
        **NO_LIMITS,
        **settings,
    }
    folder.mkdir(exist_ok=True)
    system = System(folder, {name: str(value) for name, value in env.items()}, port, model_port)
    try:
        if models is not None:
            system.start_model(UVICORN)
        for name in workers:
            system.start(name, WORKER)
        system.start_gateway(gateway_command(server))
        yield system
    finally:
        system.stop()


def gateway_command(server: str) -> list[str]:
    """Return the command of a gateway under this server."""
    return [sys.executable, "-m", *SERVERS[server]]
