"""That every acknowledged write is in the change log exactly once, whatever was killed meanwhile."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pymongo.database import Database

from gateway.data_access.mongo.events.outboxes import FULL
from support.random_writes import Sent

Document = dict[str, Any]


def what_is_left(database: Database[Document], sent: Sent, active: str | None) -> Document | None:
    """Return something that is left to do in the background: an entry, a segment, an order, the end of an import.

    Without an active version (None) nobody has to have a segment.
    """
    # Where the database was away at the end of an import, a worker tells of it half a minute later.
    untold = {"_id": {"$in": sent.imports}, "audited": False}
    due = {"$or": [{"segment": None}, {"segment.model_version": {"$ne": active}}]}
    looks = [("imports", untold), *((name, FULL) for name in ("customers", "deleted_customers", "outbox"))]
    looks += [("outbox", {"order": {"$exists": True}}), *([("customers", due)] if active is not None else [])]
    return next((found for name, query in looks if (found := database[name].find_one(query))), None)


def each_acknowledged_change_is_there_once(sent: Sent, log: Sequence[Document]) -> None:
    """Assert that the log has what was answered well, and nothing twice."""
    # The worker's entries name the request that made a customer due.
    own = [entry for entry in log if entry["type"] != "customer.segment_changed"]
    found = Counter(entry["request_id"] for entry in own)
    lost = {name: (found[name], wanted) for name, wanted in sent.acknowledged.items() if found[name] < wanted}
    assert not lost, f"(found, wanted) of {len(lost)} of {sent.writes} requests: {lost}; {sent.statuses}"
    for life, entries in lives_of(own).items():
        # What was written without an answer is found written, and not written again unless others have written since.
        again = [first["request_id"] for first, then in pairwise(entries) if first["request_id"] == then["request_id"]]
        assert not again, (life, again)
    for type_ in ("import.started", "import.completed"):
        told = Counter(entry["subject"]["id"] for entry in log if entry["type"] == type_)
        assert [name for name in sent.imports if told[name] != 1] == [], (type_, sent.statuses)


def lives_of(log: Sequence[Document]) -> dict[tuple[str, Any], list[Document]]:
    """Return the entries of each life of each CUST_ID that has not been erased, in their order."""
    lives = defaultdict(list)
    for entry in log:
        if entry["subject"]["type"] == "customer" and entry["subject"]["id"] is not None:
            lives[entry["subject"]["id"], entry["created_at"]].append(entry)
    return lives


def numbers_have_no_gap(database: Database[Document], log: Sequence[Document]) -> None:
    """Assert that positions and each customer's numbers count 1, 2, 3 …, and that customers are as the log says."""
    assert [entry["_id"] for entry in log] == list(range(1, len(log) + 1))
    lives = lives_of(log)
    for life, entries in lives.items():
        assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1)), life
    for name in ("customers", "deleted_customers"):
        for document in database[name].find():
            told = lives.get((document["_id"], document["created_at"]), [])
            assert document["seq"] == len(told), document
