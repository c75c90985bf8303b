"""Every error has a place: the driver's in the family of the services, the family's in the table of statuses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import bson.errors
import pymongo.errors
import pytest
from support.customers import stored

from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.data_access.mongo.schema import CollectionSchema, MongoSchema
from gateway.middleware.errors import STATUSES
from gateway.services import errors
from gateway.services.customers.customer import Update
from gateway.services.customers.query import CustomerQuery
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import SegmentationError, StoreError, StoreUnavailable

ABSTRACT = {errors.SegmentationError, errors.ModelServiceError}
BRINGS_ITS_STATUS = {errors.RegistryRefusal}


def _family(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


def _errors_of_services() -> list[type[Exception]]:
    return [kind for kind in _family(SegmentationError) if kind.__module__.startswith(errors.__name__)]


@pytest.mark.parametrize(
    "kind", [k for k in _errors_of_services() if k not in ABSTRACT | BRINGS_ITS_STATUS], ids=lambda k: k.__name__
)
def test_every_error_of_the_services_has_a_status(kind: type[Exception]) -> None:
    status, code = STATUSES[kind]
    assert 400 <= status < 600
    assert code == code.lower()


def test_codes_are_unique() -> None:
    codes = [code for _, code in STATUSES.values()]
    assert len(codes) == len(set(codes))


def test_the_drawn_family_is_the_real_one() -> None:
    drawn = [line.strip("│├└─ ").split()[0] for line in (errors.__doc__ or "").splitlines()[2:] if line.strip()]
    assert set(drawn) == {kind.__name__ for kind in _errors_of_services()}


def _driver_errors() -> list[Exception]:
    """One of every public class of the driver's errors."""
    kinds = [k for name, k in vars(pymongo.errors).items() if inspect.isclass(k) and not name.startswith("_")]
    kinds += [k for k in vars(bson.errors).values() if inspect.isclass(k) and k not in kinds]
    kinds = [k for k in kinds if issubclass(k, pymongo.errors.PyMongoError | bson.errors.BSONError)]
    return [_example(kind) for kind in kinds]


def _example(kind: type[Exception]) -> Exception:
    results = {"writeErrors": [{"code": 121, "op": {"_id": "A"}}], "writeConcernErrors": []}
    arguments: dict[str, Any] = {"results": results, "verbose": False, "cause": ValueError("x"), "encrypted_fields": {}}
    wanted = [
        arguments.get(p.name, "something")
        for p in inspect.signature(kind.__init__).parameters.values()
        if p.name != "self" and p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    return kind(*wanted)


class Raising:
    """Part of a driver whose every use raises one error, but for the parts that are given."""

    name = "customers"

    def __init__(self, error: Exception, **parts: object) -> None:
        self._error = error
        self.__dict__ |= parts

    def with_options(self, **_: object) -> Raising:
        return self

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise self._error


CUSTOMER = stored("A")
CALLS: dict[str, tuple[Any, ...]] = {
    "get": ("A",),
    "get_many": (["A"],),
    "find": (CustomerQuery(),),
    "count": ((), False),
    "stream": (["BALANCE"], 1),
    "rows": ((), ["CUST_ID"], 1),
    "insert": (CUSTOMER,),
    "update": (Update(CUSTOMER, {}),),
    "delete": ("A",),
    "delete_many": (["A"], ()),
    "insert_many": ([CUSTOMER],),
    "update_many": ([Update(CUSTOMER, {"revision": "r"})],),
    "due": ("v1", None, 1),
    "somewhere": (),
    "lacked_by_due": ("v1", ["TENURE"]),
    "segment_counts": (),
    "drop_sort_indexes": (),
    "ping": (),
}


def _store(error: Exception) -> MongoCustomerStore:
    collection = Raising(error, database=Raising(error, client=Raising(error)))
    return MongoCustomerStore(collection)  # type: ignore[arg-type]


def test_the_calls_above_are_the_whole_port() -> None:
    assert set(CALLS) == {name for name in dir(CustomerStore) if not name.startswith("_")}


def _ask(store: MongoCustomerStore, method: str) -> None:
    answer = getattr(store, method)(*CALLS[method])
    next(answer)  # a stream asks only then


def test_a_glance_that_takes_long_says_nothing() -> None:
    assert _store(pymongo.errors.ExecutionTimeout("")).lacked_by_due("v1", ["TENURE"]) == []


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("error", _driver_errors(), ids=lambda e: type(e).__name__)
def test_every_driver_error_becomes_one_of_the_stores(error: Exception, method: str) -> None:
    if (method, type(error)) == ("lacked_by_due", pymongo.errors.ExecutionTimeout):
        return  # see above
    with pytest.raises((StoreError, errors.CustomerExists)) as caught:
        _ask(_store(error), method)
    assert caught.value.__cause__ is error
    assert "something" not in str(caught.value)
    if isinstance(caught.value, errors.CustomerExists):
        assert method == "insert"


@pytest.mark.parametrize(
    "error",
    [
        pymongo.errors.AutoReconnect("x"),
        pymongo.errors.ServerSelectionTimeoutError("x"),
        pymongo.errors.NetworkTimeout("x"),
        pymongo.errors.NotPrimaryError("x"),
        pymongo.errors.WaitQueueTimeoutError("x"),
        pymongo.errors.ExecutionTimeout("x"),
        pymongo.errors.OperationFailure("not primary", 10107),
        pymongo.errors.OperationFailure("shutting down", 91),
        pymongo.errors.OperationFailure("pending collection catalog changes", 246),
        pymongo.errors.WriteConcernError("stepped down", 11602),
        pymongo.errors.OperationFailure("no space left on the disk", 14031),
        pymongo.errors.OperationFailure("x", 1, {"errorLabels": ["RetryableWriteError"]}),
        pymongo.errors.BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 11602}]}),
        pymongo.errors.BulkWriteError({"writeErrors": [{"code": 91, "op": {}}], "writeConcernErrors": []}),
    ],
    ids=repr,
)
def test_what_passes_is_unavailability(error: Exception) -> None:
    with pytest.raises(StoreUnavailable):
        _store(error).insert_many([CUSTOMER])


@pytest.mark.parametrize(
    "error",
    [
        pymongo.errors.WriteError("Document failed validation", 121),
        pymongo.errors.OperationFailure("not authorised", 13),
        pymongo.errors.BulkWriteError({"writeErrors": [{"code": 121, "op": {}}], "writeConcernErrors": []}),
        pymongo.errors.ConfigurationError("x"),
        pymongo.errors.InvalidOperation("x"),
    ],
    ids=repr,
)
def test_what_does_not_pass_is_an_error(error: Exception) -> None:
    with pytest.raises(StoreError) as caught:
        _store(error).insert_many([CUSTOMER])
    assert type(caught.value) is StoreError


class RaisingDatabase:
    """A database in which the server refuses to say what there is."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getitem__(self, name: str) -> None:
        return None

    def list_collections(self, **_: object) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (pymongo.errors.AutoReconnect("x"), StoreUnavailable),
        (pymongo.errors.OperationFailure("not authorised", 13), StoreError),
    ],
)
@pytest.mark.parametrize("method", ["missing", "bring_up_to_date"])
def test_the_schema_fails_like_a_store(error: Exception, kind: type[StoreError], method: str) -> None:
    schema = MongoSchema(RaisingDatabase(error), [CollectionSchema("customers", (), {})])  # type: ignore[arg-type]
    with pytest.raises(StoreError) as caught:
        getattr(schema, method)()
    assert type(caught.value) is kind
