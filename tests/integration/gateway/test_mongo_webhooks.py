"""Webhooks and their deliveries on a real mongod: the contracts of their ports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from contracts.webhooks import SHORT, DeliveryStoreContract, WebhookStoreContract
from flask import Flask
from pymongo.database import Database
from support.servers import Mongod

from gateway.data_access.mongo.schema import CollectionSchema, MongoSchema
from gateway.data_access.mongo.webhooks.deliveries import MongoDeliveries, indexes
from gateway.data_access.mongo.webhooks.webhooks import MongoWebhooks
from gateway.settings import Settings
from gateway.stores import connect


@pytest.fixture
def database_name(emptied_database: str) -> str:
    return emptied_database


@pytest.fixture(scope="module")
def database(mongod: Mongod, module_database: str) -> Iterator[Database[dict[str, Any]]]:
    """The module's database, connected as the gateway connects."""
    database = connect(Flask("test"), Settings(mongodb_uri=mongod.uri(module_database)))
    MongoSchema(database, [CollectionSchema("webhook_deliveries", indexes(14))]).bring_up_to_date()
    yield database
    database.client.close()


@pytest.fixture
def pass_by(database_name: str) -> Callable[[], None]:
    return lambda: time.sleep(SHORT)


class TestMongoWebhooks(WebhookStoreContract):
    @pytest.fixture
    def webhooks(self, database: Database[dict[str, Any]], database_name: str) -> MongoWebhooks:
        return MongoWebhooks(database["webhooks"])


class TestMongoDeliveries(DeliveryStoreContract):
    @pytest.fixture
    def deliveries(self, database: Database[dict[str, Any]], database_name: str) -> MongoDeliveries:
        return MongoDeliveries(database["webhook_deliveries"])
