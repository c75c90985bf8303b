"""The customers collection: its validator, derived from the data dictionary, and its indexes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pymongo import ASCENDING, IndexModel

from gateway.data_access.mongo.customer_queries import PATHS
from gateway.data_access.mongo.events.outboxes import WAITING_INDEX
from gateway.data_access.mongo.schema import CollectionSchema
from gateway.services.customers.customer import SegmentStatus
from gateway.services.customers.query import RANKED
from shared.features import CUST_ID, CUST_ID_PATTERN, FEATURES, Feature


def _index(name: str, *fields: str) -> IndexModel:
    """Return the index on `fields` and, among equals, CUST_ID."""
    return IndexModel([(PATHS[field], ASCENDING) for field in (*fields, CUST_ID)], name=name)


INDEXES = (
    # Which customers are due for the worker.
    _index("model_version", "model_version"),
    # The customers of a segment, and those without one; since when they are there, for who was there at a time.
    IndexModel(
        [(PATHS["segment"], ASCENDING), ("_id", ASCENDING), ("segment.since", ASCENDING)], name="segment_members"
    ),
    WAITING_INDEX,
)
"""Indexes that the service always needs."""

SORT_INDEXES = tuple(_index(f"segment_by_{field}", "segment", field) for field in RANKED)
"""Indexes that only filtered and sorted lists need: a first load drops them, as they make it several times as slow."""

RETIRED = ("segment_status", "segment_id")
"""Indexes that earlier versions made: pending customers are those without a segment; another index has more."""

OWNED = ("by_", "segment_by_")
"""How the names of sort indexes begin, and began; the rest is the key. What is no sort key any more loses its index."""

MAX_INDEXES = 20
"""On the collection, that of ``_id`` included: each costs every write (docs/benchmarks.md)."""


def validator(features: Sequence[Feature] = FEATURES) -> dict[str, Any]:
    """Return the ``$jsonSchema`` that MongoDB holds every stored customer to."""
    properties: dict[str, Any] = {
        # In PCRE "$" would let a line break follow.
        "_id": {"bsonType": "string", "pattern": rf"^{CUST_ID_PATTERN}\z"},
        "segment": {"bsonType": ["object", "null"], "required": ["id", "model_version", "assigned_at"]},
        "segment_status": {"enum": list(get_args(SegmentStatus))},
        "revision": {"bsonType": "string"},
        "seq": {"bsonType": ["int", "long"], "minimum": 0},
        "created_at": {"bsonType": "date"},
        "updated_at": {"bsonType": "date"},
        **{feature.name: _property(feature) for feature in features},
    }
    optional = {"due": {"bsonType": "object"}, "outbox": {"bsonType": "array"}}
    return {"$jsonSchema": {"bsonType": "object", "required": list(properties), "properties": properties | optional}}


def _property(feature: Feature) -> dict[str, Any]:
    numbers = ["int", "long"] if feature.whole else ["double"]
    bounds: dict[str, Any] = {"minimum": feature.minimum, "maximum": feature.maximum}
    if feature.exclusive_minimum:
        bounds["exclusiveMinimum"] = True  # a flag beside minimum in MongoDB's draft 4
    return {"bsonType": [*numbers, "null"] if feature.nullable else numbers, **bounds}


def customer_schema(name: str) -> CollectionSchema:
    """Return the schema of the collection of customers."""
    return CollectionSchema(name, INDEXES, validator(), put_off=SORT_INDEXES, retired=RETIRED, owned=OWNED)
