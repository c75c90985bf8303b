"""What versions before transactions left of deletions, restores and erasures is brought into today's form.

They kept a copy for each deletion, under the deletion's own id and with the CUST_ID as a member, so that a customer
could have several; those that were being made or restored counted from a later time on. An erasure was written down
first, and removed the customer in steps. An index of that time tells that there may be some of it; dropping it is the
end.
"""

from __future__ import annotations

from collections.abc import Sequence

from pymongo import ASCENDING, DESCENDING, ReplaceOne
from pymongo.errors import OperationFailure

from gateway.data_access.mongo.collection import Document, Documents, MongoTransactions, session
from shared.features import CUST_ID

_SIGN = "latest"
_LATEST_FIRST = [(CUST_ID, ASCENDING), ("updated_at", DESCENDING), ("deleted_at", DESCENDING)]
_OF_OLD = {CUST_ID: {"$type": "string"}}
_INDEX_NOT_FOUND = 27
_INDEX_BUILD_UNDER_WAY = 12587
_BATCH = 500
_SECONDS = 60.0


def upgraded(collection: Documents) -> None:
    """Upgrade what is there; harmless when all is as it should be.

    A process does so before it first uses deleted customers or erasures. Several may do so at the same time.
    """
    database = collection.database
    deleted = database["deleted_customers"]
    if _SIGN in deleted.index_information():
        transactions = MongoTransactions(database, _SECONDS)
        unfinished = {"cust_id": {"$exists": True}, "erased.deleted_customers": {"$exists": False}}
        for erasure in database["erasures"].find(unfinished):
            transactions.run(lambda: _finish(deleted, erasure))  # noqa: B023  # called at once
        while some := {copy[CUST_ID] for copy in deleted.find(_OF_OLD, {CUST_ID: 1}, limit=_BATCH)}:
            transactions.run(lambda: _keep_latest(deleted, list(some)))  # called at once
        _drop_sign(deleted)


def _finish(deleted: Documents, erasure: Document) -> None:
    """Remove the customer, unless it was created after the erasure was asked for, and its copies."""
    earlier = {"created_at": {"$lte": erasure["created_until"]}}
    customers, erasures = deleted.database["customers"], deleted.database["erasures"]
    removed = customers.delete_many({"_id": erasure["cust_id"], **earlier}, session=session())
    copies = deleted.delete_many({CUST_ID: erasure["cust_id"], **earlier}, session=session())
    counts = {"erased.customers": removed.deleted_count, "erased.deleted_customers": copies.deleted_count}
    erasures.update_one({"_id": erasure["_id"]}, {"$inc": counts}, session=session())


def _keep_latest(deleted: Documents, cust_ids: Sequence[str]) -> None:
    """Keep the copy of each customer's latest state, unless there is one of today."""
    of_old = {CUST_ID: {"$in": cust_ids}}
    latest: dict[str, Document] = {}
    for copy in deleted.find(of_old, {"_id": 0, "counts_from": 0, "claim": 0}, sort=_LATEST_FIRST, session=session()):
        latest.setdefault(copy.pop(CUST_ID), copy)
    today = deleted.find({"_id": {"$in": cust_ids}}, {"_id": 1}, session=session())
    there = {copy["_id"] for copy in today}
    requests = [ReplaceOne({"_id": i}, copy, upsert=True) for i, copy in latest.items() if i not in there]
    if requests:
        deleted.bulk_write(requests, ordered=False, session=session())
    deleted.delete_many(of_old, session=session())


def _drop_sign(deleted: Documents) -> None:
    try:
        deleted.drop_index(_SIGN)
    except OperationFailure as error:
        # Another process was faster, or the worker is building an index: the next process will look again.
        if error.code not in (_INDEX_NOT_FOUND, _INDEX_BUILD_UNDER_WAY):
            raise
