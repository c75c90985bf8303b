"""The gateway, but killed as by ``kill -9`` the first time it gets to a certain place.

DIE_AT is the place, as in ``gateway.data_access.mongo.customers:MongoCustomerStore.insert``; DIE_ONCE names a file that
goes with the death.
"""

from __future__ import annotations

import importlib
import os
import signal
from pathlib import Path
from typing import Any

from flask import Flask

from gateway import app


def create_app() -> Flask:
    """Return the gateway, ready to die."""
    module, _, place = os.environ["DIE_AT"].partition(":")
    owner, _, method = place.partition(".")
    kind, mark = getattr(importlib.import_module(module), owner), Path(os.environ["DIE_ONCE"])
    original = getattr(kind, method)

    def deadly(*arguments: Any, **options: Any) -> Any:
        if mark.exists():
            mark.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(kind, method, deadly)
    return app.create_app()
