"""The customers collection: its validator, derived from the data dictionary, and its indexes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

from pymongo import ASCENDING, IndexModel, timeout
from pymongo.errors import OperationFailure

from gateway.data_access.mongo.collection import Documents, make_indexes
from gateway.data_access.mongo.customer_queries import PATHS
from gateway.services.customers.customer import SegmentStatus
from gateway.services.customers.query import RANKED
from shared.features import CUST_ID, CUST_ID_PATTERN, FEATURES, Feature

_NAMESPACE_EXISTS = 48
_INDEX_NOT_FOUND = 27
_BUILD_SECONDS = 3600.0


def _index(name: str, *fields: str) -> IndexModel:
    """Return the index on `fields` and, among equals, CUST_ID."""
    return IndexModel([(PATHS[field], ASCENDING) for field in (*fields, CUST_ID)], name=name)


INDEXES = (
    # Which customers are due for the worker.
    _index("model_version", "model_version"),
    # The customers of a segment, and those without one.
    _index("segment_id", "segment"),
)
"""Indexes that the service always needs."""

SORT_INDEXES = (
    *(_index(f"by_{field}", field) for field in RANKED),
    *(_index(f"segment_by_{field}", "segment", field) for field in RANKED),
)
"""Indexes that only filtered and sorted lists need: a first load drops them, as they make it several times as slow."""

RETIRED = ("segment_status",)
"""Indexes that earlier versions made: pending customers are those without a segment."""


def validator(features: Sequence[Feature] = FEATURES) -> dict[str, Any]:
    """Return the ``$jsonSchema`` that MongoDB holds every stored customer to."""
    properties: dict[str, Any] = {
        # In PCRE "$" would let a line break follow.
        "_id": {"bsonType": "string", "pattern": rf"^{CUST_ID_PATTERN}\z"},
        "segment": {"bsonType": ["object", "null"], "required": ["id", "model_version", "assigned_at"]},
        "segment_status": {"enum": list(get_args(SegmentStatus))},
        "revision": {"bsonType": "string"},
        "created_at": {"bsonType": "date"},
        "updated_at": {"bsonType": "date"},
        **{feature.name: _property(feature) for feature in features},
    }
    return {"$jsonSchema": {"bsonType": "object", "required": list(properties), "properties": properties}}


def _property(feature: Feature) -> dict[str, Any]:
    numbers = ["int", "long"] if feature.whole else ["double"]
    bounds: dict[str, Any] = {"minimum": feature.minimum, "maximum": feature.maximum}
    if feature.exclusive_minimum:
        bounds["exclusiveMinimum"] = True  # a flag beside minimum in MongoDB's draft 4
    return {"bsonType": [*numbers, "null"] if feature.nullable else numbers, **bounds}


def prepare(customers: Documents, indexes: Sequence[IndexModel] = INDEXES) -> None:
    """Bring the collection's validator and indexes up to date; harmless when they are.

    A collection with customers gets missing sort indexes from the worker: building them takes half a minute for a
    million, in which nobody should have to wait here.
    """
    database = customers.database
    try:
        # The server alone decides whether it exists: with a look beforehand, two processes that start together collide.
        database.create_collection(customers.name, check_exists=False, validator=validator())
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
        # An older version of the service may have made it.
        database.command("collMod", customers.name, validator=validator(), validationLevel="strict")
    empty = not customers.estimated_document_count()
    make_indexes(customers, (*indexes, *SORT_INDEXES) if empty else indexes)
    _drop(customers, RETIRED)


def build_sort_indexes(customers: Documents, heartbeat: Callable[[], None]) -> int:
    """Build the sort indexes that are missing, calling `heartbeat` after each; return how many were."""
    existing = customers.index_information()
    missing = [index for index in SORT_INDEXES if index.document["name"] not in existing]
    for index in missing:
        with timeout(_BUILD_SECONDS):
            customers.create_indexes([index])
        heartbeat()
    return len(missing)


def drop_sort_indexes(customers: Documents) -> None:
    """Drop the sort indexes."""
    _drop(customers, [index.document["name"] for index in SORT_INDEXES])


def _drop(customers: Documents, names: Sequence[str]) -> None:
    existing = customers.index_information()
    for name in names:
        if name in existing:
            try:
                customers.drop_index(name)
            except OperationFailure as error:
                if error.code != _INDEX_NOT_FOUND:  # another process was faster
                    raise
