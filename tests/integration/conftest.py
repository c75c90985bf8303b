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


@pytest.fixture(scope="module")
def module_database(mongo_client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """The name of a database that the tests of one module share."""
    with own_database(mongo_client) as name:
        yield name


@pytest.fixture
def emptied_database(mongo_client: MongoClient[dict[str, Any]], module_database: str) -> Iterator[str]:
    """The module's database, emptied after each test: validators and indexes stay, as making them takes longest.

    For modules whose tests do not look at how these come about: they define `database_name` by it.
    """
    yield module_database
    database = mongo_client[module_database]
    database.drop_collection("system.profile")
    for name in database.list_collection_names():
        database[name].delete_many({})


@pytest.fixture
def mongodb_uri(mongod: Mongod, database_name: str) -> str:
    """The address of the test's database, as MONGODB_URI has it."""
    return mongod.uri(database_name)
