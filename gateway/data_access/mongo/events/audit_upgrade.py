"""Brings the audit trail of earlier versions, a collection of its own, into the change log.

Each part is moved in a transaction, oldest first, so that whoever is killed on the way has lost and doubled nothing,
and several may do it at once. An entry keeps its id. An activation of which nobody knew yet what came of it is an order
again (`data_access.mongo.events.outboxes.MongoOrders`).
"""

from __future__ import annotations

from typing import Any, cast

from pymongo import ASCENDING
from pymongo.database import Database

from gateway.data_access.mongo.collection import Document, StoreCollection, session
from gateway.data_access.mongo.events.changes import LogWriter
from gateway.services.events.audit import FORMER_NAMES
from gateway.services.events.change import Entry
from gateway.services.transactions import Transactions

AT_ONCE = 1_000
_ACTIVATIONS = ("model.activated", "model.rolled_back")
_KEPT = ("at", "actor", "subject", "before", "after", "by", "request_id", "address")


class EarlierTrail:
    """The audit trail of earlier versions."""

    def __init__(self, database: Database[Document], transactions: Transactions, log: LogWriter) -> None:
        self._audit = StoreCollection(database["audit"])
        self._outbox = StoreCollection(database["outbox"])
        self._deleted = StoreCollection(database["deleted_customers"])
        self._transactions = transactions
        self._log = log
        self._is_gone = False

    def bring_over(self) -> None:
        """Move all of it into the log, and drop what is left of the collection. Looks only once in a process."""
        if self._is_gone:
            return
        with self._deleted as deleted:  # those of before have no outbox: without an empty one they would not expire
            deleted.update_many({"outbox": {"$exists": False}}, {"$set": {"outbox": []}})
        with self._audit as audit:
            there = audit.database.list_collection_names(filter={"name": audit.name})
        if there:
            self._log.begin()
            while self._transactions.run(self._move):
                pass
            with self._audit as audit:
                audit.drop()
        self._is_gone = True

    def erase(self, cust_id: str) -> int:
        """Remove a customer's id from entries that are still here; return how many there were."""
        if self._is_gone:
            return 0
        nobody: Document = {"$set": {"subject.id": None, "erased": True}}
        with self._audit as audit:
            named = audit.update_many({"subject.id": cust_id, "subject.type": "customer"}, nobody, session=session())
        return named.modified_count

    def _move(self) -> int:
        with self._audit as audit:
            options: dict[str, Any] = {"sort": [("_id", ASCENDING)], "limit": AT_ONCE, "batch_size": AT_ONCE + 1}
            found = list(audit.find({}, session=session(), **options))
            audit.delete_many({"_id": {"$in": [document["_id"] for document in found]}}, session=session())
        orders = [d for d in found if d["action"] in _ACTIVATIONS and d["after"] is None]
        self._log.append([_entry(document) for document in found if document not in orders])
        if orders:
            with self._outbox as outbox:
                placed = [{"_id": order["_id"], "order": _entry(order)} for order in orders]
                outbox.insert_many(placed, session=session())
        return len(found)


def _entry(document: Document) -> Entry:
    kept = {name: document[name] for name in _KEPT}
    action = document["action"]
    entry: Document = {"id": document["_id"], "type": FORMER_NAMES.get(action, action), "cause": None, **kept}
    return cast(Entry, entry | {"erased": True} if document["erased"] else entry)
