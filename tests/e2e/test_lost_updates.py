"""Eight processes count up ten customers' balances, each by reading, adding one and writing with If-Match."""

from __future__ import annotations

import multiprocessing

from support.counting_up import count_up
from support.customers import body

from tests.e2e.conftest import System

PROCESSES = 8
UPDATES = 800
CUSTOMERS = [f"C{n}" for n in range(10)]


def test_no_update_is_lost(system: System) -> None:
    """The gateway's two processes stand on one real mongod; there is no model service, so that only writes count."""
    system.env["RATE_LIMIT"] = "1000000 per minute"
    system.start_gateway()
    rows = [body(cust_id, BALANCE=0.0) for cust_id in CUSTOMERS]
    assert system.http.post(f"{system.base}/api/v1/customers/batch", json={"customers": rows}, timeout=10).ok
    # Started afresh: this process has threads, which do not survive a fork.
    with multiprocessing.get_context("forkserver").Pool(PROCESSES) as clients:
        orders = [(system.base, system.key, CUSTOMERS, UPDATES // PROCESSES, seed) for seed in range(PROCESSES)]
        counted = clients.starmap(count_up, orders, chunksize=1)
    balances = {customer["CUST_ID"]: customer["BALANCE"] for customer in system.customers()}
    assert balances == {cust_id: sum(one.added[cust_id] for one in counted) for cust_id in CUSTOMERS}
    assert sum(balances.values()) == UPDATES
    assert sum(one.refused for one in counted) > 0  # they did get into each other's way
