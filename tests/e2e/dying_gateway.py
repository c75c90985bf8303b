"""The gateway, but killed as by ``kill -9`` when it gets to a certain place.

DIE_AT is the place, as in ``gateway.data_access.mongo.customers:MongoCustomerStore.insert``; DIE_ONCE names a file that
goes with the death. DIE_AFTER says how many times it gets there before, usually none.
"""

from __future__ import annotations

import importlib
import os
import signal
from itertools import count
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

    survived = count()

    def deadly(*arguments: Any, **options: Any) -> Any:
        if mark.exists() and next(survived) >= int(os.environ.get("DIE_AFTER", "0")):
            mark.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(kind, method, deadly)
    return app.create_app()
