"""Documents are found without a cursor, and as the driver finds them where that fails."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from bson import CodecOptions
from pymongo import ReadPreference
from pymongo.errors import (
    AutoReconnect,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern

from gateway.data_access.mongo import collection as module
from gateway.data_access.mongo.collection import find_at_once, find_by_id

DOCUMENT = {"_id": "A", "a": 1}


class Collection:
    """A collection whose commands end as they are told to."""

    name = "customers"
    read_concern = ReadConcern("majority")
    read_preference = ReadPreference.PRIMARY
    codec_options: CodecOptions[dict[str, Any]] = CodecOptions()

    def __init__(self, *found: dict[str, Any], error: Exception | None = None, cursor: int = 0) -> None:
        self.calls: list[Any] = []
        self._found = list(found)
        self._error = error
        self._cursor = cursor

    @property
    def database(self) -> Collection:
        return self

    def command(self, command: dict[str, Any], **_: Any) -> Any:
        self.calls.append(command)
        if self._error:
            raise self._error
        return {"cursor": {"firstBatch": self._found, "id": self._cursor}}

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


def test_what_comes_in_parts_is_left_to_the_driver() -> None:
    whole: Any = Collection(DOCUMENT)
    part: Any = Collection(DOCUMENT, cursor=7)

    assert find_at_once(whole, {"limit": 2}) == [DOCUMENT]
    assert find_at_once(part, {"limit": 2}) is None


OUT_OF_TIME = ExecutionTimeout("operation exceeded time limit", 50)


@pytest.mark.parametrize("error", [NetworkTimeout(), ServerSelectionTimeoutError(), OUT_OF_TIME, ZeroDivisionError()])
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
