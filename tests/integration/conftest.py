"""Databases for the tests of this level, on the mongod of the session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from support.servers import Mongod, own_database


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
