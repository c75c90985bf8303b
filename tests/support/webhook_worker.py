"""A worker in a process of its own that delivers to webhooks, which another may take over soon after it is killed.

``python -m support.webhook_worker URI``: delivers what there is, again and again, until it is killed.
"""

from __future__ import annotations

import sys
import time

from fakes.model import FakeModel
from fakes.registry import FakeRegistry
from flask import Flask

from gateway.services.webhooks import deliveries
from gateway.settings import Settings
from gateway.stores import connect, mongo_stores
from gateway.wiring import assemble
from shared.networks import LOOPBACK

TIMEOUT, SPARE, PAUSE = 2.0, 0.1, 0.02


def settings_of(uri: str) -> Settings:
    """Return the settings of such a worker: it may go to this machine, and gives receivers little time."""
    return Settings(mongodb_uri=uri, webhook_networks=LOOPBACK, webhook_timeout=TIMEOUT)


if __name__ == "__main__":
    deliveries.SPARE_SECONDS = SPARE
    settings = settings_of(sys.argv[1])
    stores = mongo_stores(connect(Flask("worker"), settings), settings)
    duty = assemble(stores, FakeModel(), FakeRegistry(), settings).events.deliveries
    while True:
        duty.run_once()
        time.sleep(PAUSE)
