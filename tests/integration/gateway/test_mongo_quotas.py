"""Rate limits on a real mongod: windows that processes share, and nothing left behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from contracts.rate_limits import QuotaStoreContract
from flask import Flask
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern
from support.servers import Mongod

from gateway.data_access.mongo.access import rate_limits as rate_limit_storage
from gateway.data_access.mongo.access.rate_limits import LEASE_TIMEOUT_SECONDS, MongoQuotaStore
from gateway.services.access.rate_limits import Limiter, Rate
from gateway.services.errors import RateLimited, StoreUnavailable
from gateway.settings import Settings
from gateway.stores import connect


@pytest.fixture
def database_name(emptied_database: str) -> str:
    """One database for all tests of this module."""
    return emptied_database


@pytest.fixture
def collection(customers: Collection) -> Collection:
    # Quotas are written without waiting for the majority, so that a majority's view may come after them.
    return customers.database["rate_limits"].with_options(read_concern=ReadConcern("local"))


@pytest.fixture
def quotas(collection: Collection) -> MongoQuotaStore:
    return MongoQuotaStore(collection)


class TestMongoQuotaStore(QuotaStoreContract):
    def test_a_window_that_has_ended_begins_anew(self, quotas: MongoQuotaStore, collection: Collection) -> None:
        quotas.take("k", Rate(10, 60), 10)
        collection.update_many({}, [{"$set": {"ends_at": {"$subtract": ["$$NOW", 1]}, "left": 0}}])
        assert quotas.take("k", Rate(10, 60), 1).left == 9

    def test_a_window_says_when_it_ends(self, quotas: MongoQuotaStore, collection: Collection) -> None:
        quotas.take("k", Rate(10, 60), 1)
        assert collection.find_one()["ends_at"]

    def test_processes_at_once_never_pass_the_rate(
        self, collection: Collection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Past its time-out a process counts on its own, and a busy machine must not bring that about here.
        monkeypatch.setattr(rate_limit_storage, "LEASE_TIMEOUT_SECONDS", 60.0)

        def passed(_: int) -> int:
            limiter, count = Limiter(MongoQuotaStore(collection), "default", (Rate(700, 600),)), 0
            try:
                while True:
                    limiter.spend("c")
                    count += 1
            except RateLimited:
                return count

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(passed, range(8))) == 700


def test_a_database_that_is_away_is_not_waited_for(mongod: Mongod) -> None:
    away: Any = connect(Flask("test"), Settings(mongodb_uri="mongodb://127.0.0.1:9/x", mongodb_timeout=30.0))
    with away.client, pytest.raises(StoreUnavailable):
        MongoQuotaStore(away["rate_limits"]).take("k", Rate(1, 1), 1)
    assert LEASE_TIMEOUT_SECONDS < 1
