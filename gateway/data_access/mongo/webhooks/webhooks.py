"""Webhooks in MongoDB: the `WebhookStore` port over one collection. Who may deliver, the server's clock decides."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, cast

from bson.int64 import Int64
from pymongo import ReturnDocument

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection, session
from gateway.services.events.feed import EventType
from gateway.services.webhooks.webhook import Webhook, WebhookChange

_MEMBERS = tuple(each.name for each in fields(Webhook) if each.name != "id")


class MongoWebhooks:
    """The `WebhookStore` in MongoDB: webhooks by their id as ``_id``, with the worker that delivers."""

    def __init__(self, collection: Documents) -> None:
        self._webhooks = StoreCollection(collection)

    def insert(self, webhook: Webhook) -> None:
        members = cast(WebhookChange, {name: getattr(webhook, name) for name in _MEMBERS})
        with self._webhooks as webhooks:
            webhooks.insert_one({"_id": webhook.id, **_stored(members)}, session=session())

    def get(self, webhook_id: str) -> Webhook | None:
        with self._webhooks as webhooks:
            return _webhook(webhooks.find_one({"_id": webhook_id}))

    def page(self, after: str | None, limit: int) -> list[Webhook]:
        query: Document = {} if after is None else {"_id": {"$gt": after}}
        with self._webhooks as webhooks:
            found = map(_webhook, webhooks.find(query, sort=[("_id", 1)], limit=limit))
            return [webhook for webhook in found if webhook is not None]

    def change(self, webhook_id: str, members: WebhookChange) -> Webhook | None:
        with self._webhooks as webhooks:
            return _webhook(
                webhooks.find_one_and_update(
                    {"_id": webhook_id},
                    {"$set": _stored(members)},
                    return_document=ReturnDocument.AFTER,
                    session=session(),
                )
            )

    def delete(self, webhook_id: str) -> bool:
        with self._webhooks as webhooks:
            return webhooks.delete_one({"_id": webhook_id}, session=session()).deleted_count == 1

    def claim(self, webhook_id: str, worker: str, seconds: float) -> Webhook | None:
        free = [{"worker": worker}, {"worker": {"$exists": False}}, {"$expr": {"$lte": ["$until", "$$NOW"]}}]
        return self._held({"_id": webhook_id, "$or": free}, worker, seconds, {})

    def advance(self, webhook: Webhook, worker: str, seconds: float, members: WebhookChange) -> Webhook | None:
        same = {"_id": webhook.id, "worker": worker, "cursor": Int64(webhook.cursor)}
        return self._held(same, worker, seconds, members)

    def _held(self, wanted: Document, worker: str, seconds: float, members: WebhookChange) -> Webhook | None:
        until = {"$add": ["$$NOW", int(seconds * 1000)]}
        # Literally: a text that begins with a dollar is no path.
        values = {name: {"$literal": value} for name, value in _stored(members).items()}
        held = {"$set": {**values, "worker": worker, "until": until}}
        with self._webhooks as webhooks:
            return _webhook(
                webhooks.find_one_and_update(wanted, [held], return_document=ReturnDocument.AFTER, session=session())
            )


def _stored(members: WebhookChange) -> Document:
    document: Document = dict(members)
    if members.get("types") is not None:
        document["types"] = list(members["types"] or ())
    if "cursor" in members:
        document["cursor"] = Int64(members["cursor"])
    return document


def _webhook(document: Document | None) -> Webhook | None:
    if document is None:
        return None
    members: dict[str, Any] = {name: document[name] for name in _MEMBERS}
    types: list[EventType] | None = members["types"]
    members |= {"types": None if types is None else tuple(types), "cursor": int(members["cursor"])}
    return Webhook(id=document["_id"], **members)
