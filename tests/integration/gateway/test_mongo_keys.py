"""API keys on a real mongod: the contract of the port, its failures, and rotations at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from contracts.api_keys import KEY, KeyStoreContract
from contracts.ended_sessions import EndedSessionsContract
from contracts.one_time_tokens import AT, UNTIL, OneTimeTokensContract
from fakes.changes import recorder
from fakes.deletions import InMemoryTransactions
from flask import Flask
from pymongo.collection import Collection
from support.servers import free_port

from gateway.data_access.mongo.access.api_keys import MongoKeyStore
from gateway.data_access.mongo.access.ended_sessions import MongoEndedSessions
from gateway.data_access.mongo.access.one_time_tokens import MongoOneTimeTokens
from gateway.development import mongod as development
from gateway.services.access.api_keys import ApiKeyService, NewApiKey, parse_key
from gateway.services.errors import StoreUnavailable
from gateway.services.principal import COMMAND_LINE, Scope
from gateway.settings import Settings
from gateway.stores import connect


@pytest.fixture
def collection(mongodb_uri: str) -> Iterator[Collection[dict[str, Any]]]:
    """The test's collection of keys, connected as the gateway connects."""
    collection = connect(Flask("test"), Settings(mongodb_uri=mongodb_uri))["api_keys"]
    yield collection
    collection.database.client.close()


@pytest.fixture
def keys(collection: Collection[dict[str, Any]]) -> MongoKeyStore:
    """An empty store in the test's database."""
    return MongoKeyStore(collection)


class TestMongoKeyStore(KeyStoreContract):
    """The contract on a real mongod."""


class TestMongoEndedSessions(EndedSessionsContract):
    """The contract of sessions that have been ended on a real mongod."""

    @pytest.fixture
    def ended(self, collection: Collection[dict[str, Any]]) -> MongoEndedSessions:
        return MongoEndedSessions(collection.database["ended_sessions"])


class TestMongoOneTimeTokens(OneTimeTokensContract):
    """The contract of tokens that sign in once on a real mongod."""

    @pytest.fixture
    def tokens(self, collection: Collection[dict[str, Any]]) -> MongoOneTimeTokens:
        return MongoOneTimeTokens(collection.database["one_time_tokens"])

    def test_of_twenty_who_come_with_one_token_one_has_it(self, tokens: MongoOneTimeTokens) -> None:
        tokens.keep(b"a", "key", UNTIL)
        start = threading.Barrier(20)

        def take(_: int) -> str | None:
            start.wait()
            return tokens.take(b"a", AT)

        with ThreadPoolExecutor(20) as threads:
            assert sorted(filter(None, threads.map(take, range(20)))) == ["key"]


def test_a_scope_of_a_later_version_opens_nothing(keys: MongoKeyStore, collection: Collection[dict[str, Any]]) -> None:
    keys.insert(KEY)
    collection.update_one({"_id": KEY.id}, {"$push": {"scopes": "everything"}, "$set": {"colour": "red"}})
    assert keys.get(KEY.id) == KEY


def test_what_is_stored_does_not_hold_the_secret(keys: MongoKeyStore, collection: Collection[dict[str, Any]]) -> None:
    text = ApiKeyService(keys, lambda _: None, InMemoryTransactions(), recorder()).create(
        "CRM", [Scope.ADMIN], COMMAND_LINE
    )["key"]
    document = collection.find_one()
    assert text.split("_")[2] not in repr(document)
    assert document is not None
    assert parse_key(text) == (document["_id"], document["digest"])


def test_every_call_says_when_the_database_is_away() -> None:
    settings = Settings(mongodb_uri=development.uri(free_port(), "test"), mongodb_timeout=0.1)
    collection = connect(Flask("test"), settings)["api_keys"]
    keys = MongoKeyStore(collection)
    for call in (lambda: keys.get("x"), lambda: keys.page(None, 1), lambda: keys.insert(KEY)):
        with pytest.raises(StoreUnavailable):
            call()
    collection.database.client.close()


def test_of_many_rotations_at_once_one_secret_is_left(keys: MongoKeyStore) -> None:
    service = ApiKeyService(keys, lambda _: None, InMemoryTransactions(), recorder())
    key_id = service.create("CRM", [Scope.ADMIN], COMMAND_LINE)["id"]
    told: list[NewApiKey] = []
    threads = [threading.Thread(target=lambda: told.append(service.rotate(key_id))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = keys.get(key_id)
    assert stored is not None
    digests = [parsed[1] for new in told if (parsed := parse_key(new["key"]))]
    assert len(set(digests)) == 8
    assert {stored.digest, stored.old_digest} <= set(digests)
