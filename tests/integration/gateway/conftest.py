"""The gateway on a real mongod."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes.gateway import FakeGateway
from flask import Flask
from pymongo.collection import Collection

from gateway.data_access.mongo.customer_schema import customer_schema
from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.data_access.mongo.schema import MongoSchema
from gateway.settings import Settings
from gateway.stores import connect


@pytest.fixture
def customers(mongodb_uri: str) -> Iterator[Collection]:
    """The test's customers collection, connected as the gateway connects, with its validator and indexes."""
    database = connect(Flask("test"), Settings(mongodb_uri=mongodb_uri))
    MongoSchema(database, [customer_schema("customers")]).bring_up_to_date()
    collection = database["customers"]
    yield collection
    collection.database.client.close()


@pytest.fixture
def store(customers: Collection) -> MongoCustomerStore:
    """An empty store in the test's database."""
    return MongoCustomerStore(customers)


@pytest.fixture
def gateway(store: MongoCustomerStore) -> FakeGateway:
    """The gateway over HTTP, with real MongoDB and a fake model."""
    return FakeGateway(store=store)
