"""A real mongod for the tests of this level; `support.servers` does the work, so that other levels can have one too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from support.servers import Mongod, own_database, running_mongod


@pytest.fixture(scope="session")
def mongod() -> Iterator[Mongod]:
    """A mongod that the whole session shares."""
    with running_mongod() as server:
        yield server


@pytest.fixture(scope="session")
def mongo_client(mongod: Mongod) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client of the session's mongod."""
    with MongoClient[dict[str, Any]](mongod.uri("admin")) as client:
        yield client


@pytest.fixture
def database_name(mongo_client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """The name of a database that only this test uses; it is dropped afterwards."""
    with own_database(mongo_client) as name:
        yield name


@pytest.fixture
def mongodb_uri(mongod: Mongod, database_name: str) -> str:
    """The address of the test's database, as MONGODB_URI has it."""
    return mongod.uri(database_name)
