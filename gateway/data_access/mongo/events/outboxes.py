"""Outboxes in MongoDB, how they are moved, and the orders that become entries: the ports `Outboxes` and `Orders`.

A customer, stored or deleted, has its ``outbox`` in its own document; a document of the collection ``outbox`` has
nothing else. A partial index of each collection holds those with something in it. An order is a document of that
collection that has an ``order`` and no ``outbox`` yet, so that one write of one document makes the entry of it.

The transaction that puts a stored customer's entries into the log does not take them out of its outbox: it notes in
``logged`` up to which ``seq`` they are in the log, and those do not wait any more, whoever looks (`waiting_in`). They
are taken out right after it. For within a transaction MongoDB reads the collection's whole description anew for each
index of each document that changes in an indexed member: with 20 indexes, 0.4 ms for a customer instead of 0.04.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple, cast

from pymongo import ASCENDING, IndexModel
from pymongo.database import Database

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection, session
from gateway.data_access.mongo.events.audit_upgrade import EarlierTrail
from gateway.data_access.mongo.events.changes import LogWriter, make_once
from gateway.services.events.change import UNKNOWN, ChangeType, Entry, Subject, in_order
from gateway.services.events.log import Waiting
from gateway.services.transactions import Transactions

FULL: Document = {"outbox.0.at": {"$exists": True}}
"""Which documents have an outbox with something in it."""
WAITING_INDEX = IndexModel([("outbox.0.at", ASCENDING)], name="waiting", partialFilterExpression=FULL)
"""Of the three collections; what waits is found by it, oldest first."""

_FREE, _DELETED, _CUSTOMERS = "outbox", "deleted_customers", "customers"
_PLACES = (_FREE, _DELETED, _CUSTOMERS)
"""In this order: what is there of an earlier life of a CUST_ID comes before its present one."""
_ENTRIES_EACH = 4
"""A transaction ends when it has so many times as many entries as it may have documents."""
_MOST_MET = 10
"""How often a move begins anew because of others; after that there is another look soon."""
_COUNTED = 5_000
_LOGGED = [{"$set": {"logged": {"$max": "$outbox.seq"}}}]
_WITHOUT_LOGGED = [{"$set": {"outbox": {"$filter": {"input": "$outbox", "cond": {"$gt": ["$$this.seq", "$logged"]}}}}}]
_EMPTY: Document = {"$set": {"outbox": []}}
_SEEN = {"_id": "model_events"}


class _Part(NamedTuple):
    number: int
    of: int


_ALL = _Part(0, 1)


class MongoOutboxes:
    """`Outboxes` in MongoDB.

    Parameters
    ----------
    transactions : over the same database.
    """

    def __init__(self, database: Database[Document], transactions: Transactions) -> None:
        self._places = {name: StoreCollection(database[name]) for name in _PLACES}
        self._transactions = transactions
        self._log = LogWriter(database)
        self._earlier = EarlierTrail(database, transactions, self._log)

    def add(self, entries: Sequence[Entry]) -> None:
        with self._places[_FREE] as outbox:
            outbox.insert_one({"outbox": list(entries)}, session=session())

    def move(self, limit: int) -> int:
        self._earlier.bring_over()
        if not any(self._waits(name) for name in _PLACES):  # a transaction costs more, even if it finds nothing
            return 0
        tries = count()
        return self._moved(lambda: self._move_some(limit, next(tries)))

    def move_of(self, cust_id: str) -> int:
        wanted = {"_id": cust_id, **FULL}
        if not any(self._waits(name, wanted) for name in (_DELETED, _CUSTOMERS)):
            return 0
        # What was added of it, such as the erasure of an earlier customer of the same id, comes before.
        added = {"$or": [{"outbox.erased_id": cust_id}, {"outbox.subject.id": cust_id}], **FULL}

        def move() -> tuple[int, list[str]]:
            earlier, _ = self._move(added, _COUNTED, (_FREE,))
            own, customers = self._move(wanted, 2, (_DELETED, _CUSTOMERS))
            return earlier + own, customers

        return self._moved(move)

    def erase(self, cust_id: str) -> int:
        named = {"subject.id": cust_id, "subject.type": "customer"}
        nobody = {"outbox.$[mine].subject.id": None, "outbox.$[mine].erased": True}
        with self._places[_FREE] as outbox:
            found = list(outbox.find({"outbox": {"$elemMatch": named}}, {"outbox.subject": 1}, session=session()))
            outbox.update_many(
                {"_id": {"$in": [document["_id"] for document in found]}},
                {"$set": nobody, "$unset": {"outbox.$[mine].values": ""}},
                array_filters=[{f"mine.{name}": value for name, value in named.items()}],
                session=session(),
            )
        mine = Subject(type="customer", id=cust_id)
        added: int = sum(entry["subject"] == mine for document in found for entry in document["outbox"])
        return added + self._earlier.erase(cust_id)

    def waiting(self) -> Waiting:
        entries, times = 0, []
        for name in _PLACES:
            with self._places[name] as collection:
                found = collection.find(FULL, {"outbox.at": 1}, sort=[("outbox.0.at", ASCENDING)], limit=_COUNTED)
                waiting = [document["outbox"] for document in found]
            entries += sum(map(len, waiting))
            times += [outbox[0]["at"] for outbox in waiting[:1]]
        return Waiting(entries, min(times, default=None))

    def _waits(self, name: str, wanted: Document = FULL) -> bool:
        with self._places[name] as collection:
            return collection.find_one(wanted, {"_id": 1}) is not None

    def _moved(self, move: Callable[[], tuple[int, list[str]]]) -> int:
        self._log.begin()
        entries, customers = self._transactions.run(move)
        if customers:
            with self._places[_CUSTOMERS] as collection:
                # One may have been deleted and imported anew meanwhile: that has no outbox, and must not get null.
                those = {"_id": {"$in": customers}, "logged": {"$exists": True}}
                collection.update_many(those, _WITHOUT_LOGGED, bypass_document_validation=True)
        return entries

    def _move_some(self, limit: int, met: int) -> tuple[int, list[str]]:
        """Move fewer, and others, the more often somebody was met who was writing one of them.

        It may be somebody who has died in a transaction: the server ends that after a minute, and others must not wait.
        """
        if met > _MOST_MET:
            return 0, []
        return self._move(FULL, limit, _PLACES, _Part(random.randrange(2**met), 2**met))  # noqa: S311  # no secret

    def _move(self, wanted: Document, limit: int, places: Sequence[str], part: _Part = _ALL) -> tuple[int, list[str]]:
        """Put the entries of up to `limit` outboxes into the log; return how many, and the customers they are of."""
        entries: list[Entry] = []
        taken: dict[str, list[Any]] = {}
        for name in places:
            if limit > 0 and len(entries) < limit * _ENTRIES_EACH:
                # Nobody but a relay changes what was added, and it comes before what a customer has.
                taken[name] = self._take(name, wanted, limit, entries, _ALL if name == _FREE else part)
                limit -= len(taken[name])
        self._log.append(in_order(entries))
        return len(entries), taken.get(_CUSTOMERS, [])

    def _take(self, name: str, wanted: Document, limit: int, entries: list[Entry], part: _Part) -> list[Any]:
        """Add what waits in up to `limit` outboxes of a collection to `entries`; return whose those are."""
        taken: list[Any] = []
        with self._places[name] as collection:
            for document in self._full(name, wanted, limit, part):
                entries += document["outbox"] if name == _FREE else _entries_of(document)
                taken.append(document["_id"])
                if len(entries) >= limit * _ENTRIES_EACH:
                    break
            # All that is in them has just been read in this transaction; who has written to one since makes it fail.
            these = {"_id": {"$in": taken}}
            if taken and name == _FREE:
                collection.delete_many(these, session=session())
            elif taken:
                emptied = _LOGGED if name == _CUSTOMERS else _EMPTY
                collection.update_many(these, emptied, bypass_document_validation=True, session=session())
        return taken

    def _full(self, name: str, wanted: Document, limit: int, part: _Part) -> list[Document]:
        """Return documents in whose outboxes something waits: of the `limit` oldest ones a part."""
        fields, order, skip = {"outbox": 1, "created_at": 1, "logged": 1}, [("outbox.0.at", ASCENDING)], 0
        with self._places[name] as collection:
            if part != _ALL:
                there = collection.count_documents(wanted, limit=limit, session=session())
                limit = max(1, -(-there // part.of))
                skip = limit * part.number % max(1, there)
            found = list(
                collection.find(wanted, fields, skip, limit, sort=order, batch_size=limit + 1, session=session())
            )
        if part == _ALL or name != _CUSTOMERS:
            return found
        # What is left of an earlier customer of the same id has to come first.
        same = {"_id": {"$in": [document["_id"] for document in found]}, **FULL}
        left = {document["_id"] for document in self._full(_DELETED, same, len(found), _ALL)}
        return [document for document in found if document["_id"] not in left]


def waiting_in(customer: Document) -> list[Entry]:
    """Return the entries in the outbox of a customer's document that are not in the log yet."""
    logged = customer.get("logged", 0)
    return [entry for entry in customer.get("outbox", ()) if entry["seq"] > logged]


def _entries_of(customer: Document) -> list[Entry]:
    """Return a customer's entries with what goes without saying in its document."""
    subject, created_at = Subject(type="customer", id=customer["_id"]), customer["created_at"]
    return [cast(Entry, {"subject": subject, "created_at": created_at, **entry}) for entry in waiting_in(customer)]


def _begin(counters: Documents) -> None:
    make_once(counters, {**_SEEN, "event": None})


class MongoOrders:
    """`Orders` in MongoDB."""

    def __init__(self, database: Database[Document]) -> None:
        self._outbox = StoreCollection(database[_FREE])
        self._counters = StoreCollection(database["counters"], _begin)

    def place(self, order: Entry) -> None:
        with self._outbox as outbox:
            outbox.insert_one({"_id": order["id"], "order": order})

    def carried_out(self, entry: Entry) -> None:
        with self._outbox as outbox:
            outbox.update_one({"_id": entry["id"]}, {"$set": {"outbox": [entry]}, "$unset": {"order": ""}})

    def withdraw(self, ids: Sequence[str]) -> None:
        with self._outbox as outbox:
            outbox.delete_many({"_id": {"$in": list(ids)}, "order": {"$exists": True}}, session=session())

    def of(self, types: Sequence[ChangeType]) -> list[Entry]:
        with self._outbox as outbox:
            found = outbox.find({"order.type": {"$in": list(types)}}, {"order": 1})
            return [document["order"] for document in found]

    def give_up(self, before: datetime, types: Sequence[ChangeType]) -> int:
        wanted = {"order.at": {"$lt": before}, "order.type": {"$nin": list(types)}}
        settled = {"$mergeObjects": ["$order", {"data": {"$mergeObjects": ["$order.data", UNKNOWN]}}]}
        with self._outbox as outbox:
            done = outbox.update_many(wanted, [{"$set": {"outbox": [settled]}}, {"$unset": "order"}])
        return done.modified_count

    def last_seen(self) -> str | None:
        with self._counters as counters:
            found = counters.find_one(_SEEN)
        return found["event"] if found else None

    def see(self, event: str, after: str | None) -> bool:
        with self._counters as counters:
            done = counters.update_one({**_SEEN, "event": after}, {"$set": {"event": event}}, session=session())
        return done.modified_count == 1
