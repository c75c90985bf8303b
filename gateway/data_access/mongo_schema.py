"""The customers collection: its validator and indexes, derived from the data dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo import ASCENDING, IndexModel
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from shared.features import CUST_ID_PATTERN, FEATURES, Feature

_NAMESPACE_EXISTS = 48

INDEXES = (
    IndexModel([("segment_status", ASCENDING), ("_id", ASCENDING)], name="segment_status"),
    IndexModel([("segment.model_version", ASCENDING), ("_id", ASCENDING)], name="model_version"),
    IndexModel([("segment.id", ASCENDING), ("_id", ASCENDING)], name="segment_id"),
)


def validator(features: Sequence[Feature] = FEATURES) -> dict[str, Any]:
    """Return the ``$jsonSchema`` that MongoDB holds every stored customer to."""
    properties: dict[str, Any] = {
        # In PCRE "$" would let a line break follow.
        "_id": {"bsonType": "string", "pattern": rf"^{CUST_ID_PATTERN}\z"},
        "segment": {"bsonType": ["object", "null"], "required": ["id", "model_version", "assigned_at"]},
        "segment_status": {"enum": ["assigned", "pending"]},
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


def prepare(customers: Collection[dict[str, Any]]) -> None:
    """Bring the collection's validator and indexes up to date; harmless when they are."""
    database = customers.database
    try:
        # The server alone decides whether it exists: with a look beforehand, two processes that start together collide.
        database.create_collection(customers.name, check_exists=False, validator=validator())
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
        # An older version of the service may have made it.
        database.command("collMod", customers.name, validator=validator(), validationLevel="strict")
    customers.create_indexes(list(INDEXES))
