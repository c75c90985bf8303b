"""A deletion whose commit gets no answer: it is asked for again, and never done by halves or twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fakes.model import FakeModel
from fakes.registry import FakeRegistry
from flask import Flask
from pymongo import MongoClient
from support.customers import inputs
from support.dropping_proxy import DroppingProxy, dropping_proxy
from support.servers import Mongod

from gateway.services.errors import CustomerNotFound, StoreUnavailable
from gateway.services.events.log import AuditFilters
from gateway.settings import Settings
from gateway.stores import connect, mongo_stores
from gateway.wiring import Services, assemble


@pytest.fixture
def proxy(mongod: Mongod) -> Iterator[DroppingProxy]:
    """A proxy before the session's mongod."""
    with dropping_proxy(mongod.port) as proxy:
        yield proxy


@pytest.fixture
def services(proxy: DroppingProxy, database_name: str) -> Iterator[Services]:
    """A gateway behind the proxy, with one customer; what it uses has been made."""
    uri = f"mongodb://127.0.0.1:{proxy.port}/{database_name}?directConnection=true"
    settings = Settings(mongodb_uri=uri, mongodb_timeout=2.0)
    database = connect(Flask("test"), settings)
    services = assemble(mongo_stores(database, settings), FakeModel(), FakeRegistry(), settings)
    services.customers.create("C1", inputs())
    services.deletions.delete("C1")
    services.deletions.restore("C1")
    services.relay.run_once()
    yield services
    database.client.close()


def deletions(services: Services) -> int:
    """Return how many deletions are in the audit trail, beside that of the fixture."""
    services.relay.run_once()
    return len(services.audit.page(AuditFilters(action="customer.deleted"), None, 50).items) - 1


@pytest.mark.parametrize("passes_on", [True, False], ids=["committed", "not committed"])
def test_the_commit_is_asked_for_again(services: Services, proxy: DroppingProxy, passes_on: bool) -> None:
    proxy.passes_on, proxy.times = passes_on, 2
    services.deletions.delete("C1")
    assert proxy.dropped == 2
    assert deletions(services) == 1
    assert services.deletions.get("C1")["CUST_ID"] == "C1"


@pytest.mark.parametrize("passes_on", [True, False], ids=["committed", "not committed"])
def test_without_any_answer_nobody_knows_but_nothing_is_done_by_halves(
    services: Services, proxy: DroppingProxy, mongo_client: MongoClient[dict[str, Any]], passes_on: bool
) -> None:
    proxy.passes_on, proxy.times = passes_on, 10**9
    with pytest.raises(StoreUnavailable) as caught:
        services.deletions.delete("C1")
    assert caught.value.unsure
    proxy.times = 0
    assert deletions(services) == passes_on
    if passes_on:
        with pytest.raises(CustomerNotFound):
            services.customers.get("C1")
        assert services.deletions.restore("C1")
    else:
        assert services.customers.get("C1")
        mongo_client.admin.command("killAllSessions", [])  # as the server does by itself, after a while
        services.deletions.delete("C1")


@pytest.mark.parametrize("command", [b"findAndModify", b"update"])
@pytest.mark.parametrize("passes_on", [True, False], ids=["done", "not done"])
def test_a_connection_that_breaks_before_the_commit_begins_again(
    services: Services, proxy: DroppingProxy, command: bytes, passes_on: bool
) -> None:
    proxy.command, proxy.passes_on, proxy.times = command, passes_on, 1
    services.deletions.delete("C1")
    assert proxy.dropped == 1
    assert deletions(services) == 1
    assert services.deletions.restore("C1")
