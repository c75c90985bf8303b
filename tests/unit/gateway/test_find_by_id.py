"""A document is found by its id without a cursor, and as ``find_one`` finds it where that fails."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from bson import CodecOptions
from pymongo import ReadPreference
from pymongo.errors import AutoReconnect, NetworkTimeout, NotPrimaryError, OperationFailure, ServerSelectionTimeoutError
from pymongo.read_concern import ReadConcern

from gateway.data_access.mongo import collection as module
from gateway.data_access.mongo.collection import find_by_id

DOCUMENT = {"_id": "A", "a": 1}


class Collection:
    """A collection whose commands end as they are told to."""

    name = "customers"
    read_concern = ReadConcern("majority")
    read_preference = ReadPreference.PRIMARY
    codec_options: CodecOptions[dict[str, Any]] = CodecOptions()

    def __init__(self, *found: dict[str, Any], error: Exception | None = None) -> None:
        self.calls: list[Any] = []
        self._found = list(found)
        self._error = error

    @property
    def database(self) -> Collection:
        return self

    def command(self, command: dict[str, Any], **_: Any) -> Any:
        self.calls.append(command)
        if self._error:
            raise self._error
        return {"cursor": {"firstBatch": self._found}}

    def find_one(self, query: dict[str, Any], session: Any) -> dict[str, Any] | None:
        self.calls.append((query, session))
        return next(iter(self._found), None)


def found(collection: Any) -> dict[str, Any] | None:
    return find_by_id(collection, "A")


@pytest.mark.parametrize("documents", [[], [DOCUMENT]])
def test_one_command_finds_it(documents: list[dict[str, Any]]) -> None:
    collection = Collection(*documents)

    assert [found(collection)] == (documents or [None])
    (command,) = collection.calls
    assert next(iter(command)) == "find"
    assert (command["filter"], command["readConcern"]) == ({"_id": "A"}, {"level": "majority"})


@pytest.mark.parametrize("error", [AutoReconnect(), NotPrimaryError("stepped down"), OperationFailure("no", 189)])
def test_what_may_succeed_later_is_left_to_the_driver(error: Exception) -> None:
    collection = Collection(DOCUMENT, error=error)

    assert found(collection) == DOCUMENT
    assert collection.calls[1:] == [({"_id": "A"}, None)]


@pytest.mark.parametrize("error", [NetworkTimeout(), ServerSelectionTimeoutError(), ZeroDivisionError()])
def test_an_outage_is_not_waited_for_twice(error: Exception) -> None:
    collection = Collection(DOCUMENT, error=error)

    with pytest.raises(type(error)):
        found(collection)
    assert len(collection.calls) == 1


def test_a_transaction_reads_with_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    session = SimpleNamespace()
    monkeypatch.setattr(module, "session", lambda: session)
    collection = Collection(DOCUMENT)

    assert found(collection) == DOCUMENT
    assert collection.calls == [({"_id": "A"}, session)]
