"""The log of deliveries in MongoDB: the `DeliveryStore` port over one collection, whose documents expire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from bson.int64 import Int64
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection
from gateway.services.webhooks.webhook import Delivery, DeliveryStatus

_DAY = 24 * 3600
_MEMBERS = tuple(each.name for each in fields(Delivery) if each.name not in ("id", "webhook_id"))
_MANY = 1_000
"""Of those that wait: the others are met when these have been sent."""
_LEASED: Document = {"$expr": {"$gt": ["$until", "$$NOW"]}}


def indexes(days: int) -> tuple[IndexModel, ...]:
    """Return the indexes of a log that is kept for so many days."""
    waiting = {"status": "waiting"}
    return (
        IndexModel([("webhook_id", ASCENDING), ("_id", DESCENDING)], name="webhook"),
        IndexModel([("webhook_id", ASCENDING), ("status", ASCENDING), ("_id", DESCENDING)], name="status"),
        # Few deliveries wait, and few have a text about a customer.
        IndexModel([("webhook_id", ASCENDING), ("_id", ASCENDING)], name="waiting", partialFilterExpression=waiting),
        IndexModel([("about", ASCENDING)], name="about", partialFilterExpression={"about": {"$type": "string"}}),
        IndexModel([("created_at", ASCENDING)], name="expiry", expireAfterSeconds=days * _DAY),
    )


class MongoDeliveries:
    """The `DeliveryStore` in MongoDB."""

    def __init__(self, collection: Documents) -> None:
        self._deliveries = StoreCollection(collection)

    def put(self, delivery: Delivery) -> None:
        document: Document = {name: getattr(delivery, name) for name in _MEMBERS}
        document["event"] = None if delivery.event is None else Int64(delivery.event)
        with self._deliveries as deliveries:
            whole = {"webhook_id": delivery.webhook_id, **document}
            deliveries.replace_one({"_id": delivery.id}, whole, upsert=True)

    def get(self, webhook_id: str, delivery_id: str) -> Delivery | None:
        with self._deliveries as deliveries:
            found = deliveries.find_one({"_id": delivery_id, "webhook_id": webhook_id})
        return _delivery(found) if found else None

    def page(self, webhook_id: str, status: DeliveryStatus | None, before: str | None, limit: int) -> list[Delivery]:
        query: Document = {"webhook_id": webhook_id}
        query |= {} if status is None else {"status": status}
        query |= {} if before is None else {"_id": {"$lt": before}}
        with self._deliveries as deliveries:
            return [_delivery(each) for each in deliveries.find(query, sort=[("_id", DESCENDING)], limit=limit)]

    def waiting(self) -> Sequence[str]:
        with self._deliveries as deliveries:
            found = deliveries.find({"status": "waiting", "$nor": [_LEASED]}, {"webhook_id": 1}, limit=_MANY)
            return sorted({each["webhook_id"] for each in found})

    def take(self, webhook_id: str, seconds: float) -> Delivery | None:
        until = {"$add": ["$$NOW", int(seconds * 1000)]}
        with self._deliveries as deliveries:
            found = deliveries.find_one_and_update(
                {"webhook_id": webhook_id, "status": "waiting", "$nor": [_LEASED]},
                [{"$set": {"until": until}}],
                sort=[("_id", ASCENDING)],
                return_document=ReturnDocument.AFTER,
            )
        return _delivery(found) if found else None

    def give_up(self, webhook_id: str) -> None:
        with self._deliveries as deliveries:
            deliveries.update_many(
                {"webhook_id": webhook_id, "status": "retrying"}, {"$set": {"status": "failed", "retry_at": None}}
            )

    def erase(self, about: str) -> int:
        with self._deliveries as deliveries:
            erased: Document = {"$set": {"answer": "", "about": None}}
            return deliveries.update_many({"about": about}, erased).modified_count


def _delivery(document: Document) -> Delivery:
    members = {name: document[name] for name in _MEMBERS}
    members["event"] = None if members["event"] is None else int(members["event"])
    return Delivery(id=document["_id"], webhook_id=document["webhook_id"], **members)
