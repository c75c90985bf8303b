"""Values of many customers out of MongoDB, for exports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pymongo import timeout
from pymongo.collection import Collection

from gateway.data_access.mongo_faults import store_faults
from gateway.services.ports import Row
from shared.features import CUST_ID

Query = dict[str, Any]


def read_rows(
    customers: Collection[dict[str, Any]], query: Query, paths: Sequence[str], size: int, deadline: float
) -> Iterator[list[Row]]:
    """Yield the values at `paths`, CUST_ID first, of the customers that match, by CUST_ID; `size` customers at a time.

    A query for each block rather than one cursor for all: it may be retried after a fail-over, and nothing stays open
    on the server when the caller takes its time or leaves. The server makes arrays of the documents: decoding them
    takes half the time, and it works on the next block while the caller has one.

    Parameters
    ----------
    deadline : seconds that a block may take, with all retries.
    """
    values = {"_id": 0, "row": ["$_id" if path == CUST_ID else f"${path}" for path in paths]}
    wanted = query
    while found := _block(customers, wanted, values, size, deadline):
        yield found
        wanted = {"$and": [query, {"_id": {"$gt": found[-1][0]}}]}


def _block(customers: Collection[dict[str, Any]], query: Query, values: Query, size: int, deadline: float) -> list[Row]:
    with store_faults(), timeout(deadline):
        found = customers.find(query, values, sort=[("_id", 1)], limit=size, batch_size=size)
        return [document["row"] for document in found]
