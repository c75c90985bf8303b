"""Finding and counting customers in MongoDB: conditions, and pages in any order at the same cost at any depth.

An index gives the order by one field and, among equal values, by CUST_ID in the same direction (where the field has
none, MongoDB sorts: `services.customers.lists` sees to it that there are few customers then). Every other order is
put together from such runs: first the rest of the customers who share the last page's value of the first sort key,
ordered by the other keys; then those with further values, of whom whole groups of equals are sorted here; and of the
last group, which the page may cut, again the first by the other keys. MongoDB alone would sort all that follow.

The indexes of sort keys begin with the segment, so that one serves lists of a segment and of all customers: a query
for all names all the segments that there are, and MongoDB merges what it finds in each of them in order (SORT_MERGE).
An index of each key without the segment would be read a little faster, and cost every write a third more.

Each page is read as the collection was at one moment (`collection.SNAPSHOT`), so that a short page is the last one: on
all pages together, a customer that fits and keeps its place in the order while others are written comes exactly once.
One whose value of a sort key or of a filtered field changes meanwhile may move: it can come twice or not at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from pymongo import timeout
from pymongo.client_session import ClientSession
from pymongo.errors import ExecutionTimeout, OperationFailure
from pymongo.read_concern import ReadConcern

from gateway.data_access.mongo.collection import Document, Documents, at_one_moment, find_at_once
from gateway.services.customers.customer import PENDING
from gateway.services.customers.query import (
    ESTIMATE_LIMIT,
    FIELDS,
    INDEXED,
    RANKED,
    Condition,
    CustomerQuery,
    FieldKind,
    Filters,
    Op,
    Order,
    Position,
    SortKey,
    Total,
)
from gateway.services.errors import QueryTimeout
from shared.contract import BORDERLINE
from shared.features import CUST_ID

PATHS: Mapping[str, str] = {f.name: "_id" if f.name == CUST_ID else ".".join(f.path) for f in FIELDS.values()}
"""Where the stored document has each field."""

SEGMENT = PATHS["segment"]
AFTER_ALL = "\x7f"
"""Greater than every character that a CUST_ID may have."""


def mongo_filter(filters: Filters) -> Document:
    """Return the filter that matches the customers for which all conditions hold."""
    return both(*map(_clause, filters))


def both(*queries: Mapping[str, Any]) -> Document:
    """Return the filter that matches what all of the `queries` match; empty ones match everything."""
    clauses = [dict(query) for query in queries if query]
    return {"$and": clauses} if len(clauses) > 1 else clauses[0] if clauses else {}


def _clause(condition: Condition) -> Document:
    path, value = PATHS[condition.field], condition.value
    kind = FIELDS[condition.field].kind
    if kind == FieldKind.STATUS:  # pending customers are those without a segment, and that has an index
        return {SEGMENT: None} if value == PENDING else {SEGMENT: {"$ne": None}}
    if kind == FieldKind.FLAG:
        return {path: {"$lt" if value else "$gte": BORDERLINE}}
    if condition.op == Op.EQ:
        return {path: value}
    if condition.op == Op.EXISTS:
        return {path: {"$ne": None}} if value else {path: None}
    if condition.op == Op.PREFIX:
        return {path: {"$gte": value, "$lt": value + AFTER_ALL}}
    return {path: {f"${condition.op}": list(value) if condition.op == Op.IN else value}}


_BAD_VALUE = 2


class LimitedQueries:
    """Finds and counts customers; the server stops both after some `seconds`, which makes a `QueryTimeout`.

    A page may take several queries: they share the time.

    The collections are to be read with `collection.SNAPSHOT`.

    Within ``timeoutMS`` the driver overwrites ``maxTimeMS`` with all the time that is left, and gives up when the
    server does: a slow query could not be told from a server that is gone. So that is off here (``timeout(0)``), and
    the socket has its own, longer limit (`stores.connect`).
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._milliseconds = max(1, int(seconds * 1000))

    def find(self, customers: Documents, query: CustomerQuery) -> list[Document]:
        """Return the documents of the customers that `query` asks for."""
        with self._limit():
            give_up_at = time.monotonic() + self._seconds
            return at_one_moment(lambda: self._page(customers, query, give_up_at))

    def count(self, customers: Documents, filters: Filters, exact: bool) -> Total:
        """Count the customers that all filters hold for; an estimate stops at `ESTIMATE_LIMIT` of them."""
        limits = {} if exact else {"limit": ESTIMATE_LIMIT}
        with self._limit():
            if not filters and not exact:
                books = customers.with_options(read_concern=ReadConcern())
                return Total(books.estimated_document_count(maxTimeMS=self._milliseconds), "estimated")
            options: dict[str, Any] = {"maxTimeMS": self._milliseconds, **limits}
            total = at_one_moment(lambda: self._count(customers, filters, options))
        return Total(total, "exact" if exact or total < ESTIMATE_LIMIT else "estimated")

    def _count(self, customers: Documents, filters: Filters, options: Document) -> int:
        if not _across_segments(filters, ()):
            return customers.count_documents(mongo_filter(filters), **options)
        with customers.database.client.start_session(snapshot=True) as session:
            named = _named_segments(customers, session, self._milliseconds)
            return customers.count_documents(both(mongo_filter(filters), named), session=session, **options)

    def _page(self, customers: Documents, query: CustomerQuery, give_up_at: float) -> list[Document]:
        fields = None if query.fields is None else dict.fromkeys(query.fields, 1)
        across = _across_segments(query.filters, query.order)
        if _has_index(query.order) and not across:
            return find_page(partial(self._run, customers, fields, None, give_up_at), query)
        # Whoever stays in place is found by one of several queries also if they see different moments; but a group of
        # equals that has shrunk between two of them would make the page short, and a segment that has come is missed.
        with customers.database.client.start_session(snapshot=True) as session:
            named = _named_segments(customers, session, _left(give_up_at)) if across else {}
            return find_page(partial(self._run, customers, fields, session, give_up_at), query, named)

    @contextmanager
    def _limit(self) -> Iterator[None]:
        with timeout(0):
            try:
                yield
            except ExecutionTimeout as error:
                raise QueryTimeout(self._seconds, INDEXED) from error

    def _run(
        self,
        customers: Documents,
        fields: Document | None,
        session: ClientSession | None,
        give_up_at: float,
        query: Document,
        sort: list[tuple[str, int]],
        limit: int,
        hint: str | None,
    ) -> list[Document]:
        options: dict[str, Any] = {"sort": sort, "limit": limit, "batch_size": limit, "max_time_ms": _left(give_up_at)}
        options["session"] = session
        if session is None:
            found = find_at_once(customers, _command(query, fields, hint, options))
            if found is not None:
                return found
        try:
            return list(customers.find(query, fields, hint=hint, **options))
        except OperationFailure as error:
            if hint is None or error.code != _BAD_VALUE:
                raise
            return list(customers.find(query, fields, **options))  # a first load has dropped that index


def _command(query: Document, fields: Document | None, hint: str | None, options: Document) -> Document:
    """Return what the driver makes of these arguments of its ``find``."""
    find = {"filter": query, "sort": dict(options["sort"]), "limit": options["limit"]}
    # With one more than there can be, the server leaves no cursor open.
    find |= {"batchSize": options["limit"] + 1, "maxTimeMS": options["max_time_ms"]}
    return find | ({"projection": fields} if fields else {}) | ({"hint": hint} if hint else {})


_WITHIN_SEGMENTS = (*RANKED, "borderline")
"""Fields whose index begins with the segment."""


def _across_segments(filters: Filters, order: Order) -> bool:
    """Whether indexes that begin with the segment are to find customers of any."""
    if any(c.field == "segment" and c.op in (Op.EQ, Op.IN) for c in filters) or _pending(filters):
        return False
    return any(field in _WITHIN_SEGMENTS for field in (*(c.field for c in filters), *(key.field for key in order)))


def _pending(filters: Filters) -> bool:
    return any((c.field, c.value) == ("segment_status", PENDING) for c in filters)


def _named_segments(customers: Documents, session: ClientSession, milliseconds: int) -> Document:
    """Return the filter that names all segments that there are, and that there may be none; it matches everybody."""
    found = customers.distinct(SEGMENT, session=session, maxTimeMS=milliseconds)
    return {SEGMENT: {"$in": [None, *(each for each in found if each is not None)]}}


def _left(give_up_at: float) -> int:
    return max(1, int((give_up_at - time.monotonic()) * 1000))


Run = Callable[[Document, list[tuple[str, int]], int, str | None], list[Document]]
"""Runs one query: a filter, a sort that an index gives, a limit, and the name of the index where it is certain."""

_SEGMENT = ("segment", "segment_status")
_OF_A_SEGMENT = ("segment", "confidence")


def find_page(run: Run, query: CustomerQuery, named: Mapping[str, Any] = MappingProxyType({})) -> list[Document]:
    """Return the documents of the customers that `query` asks for, in its order; `named` matches all of them."""
    first = PATHS[query.order[0].field]
    others = any(c.field in INDEXED and c.field not in _SEGMENT and PATHS[c.field] != first for c in query.filters)
    pending = _pending(query.filters)
    one_segment = pending or any((c.field, c.op) == ("segment", Op.EQ) for c in query.filters)
    order, after = _without(_constants(query.filters), query.order, query.after)
    order, after = _of_pending(order, after) if pending else (order, after)
    walk = _Walk(run, None if others else one_segment)
    return walk.page(both(mongo_filter(query.filters), named), order, after, query.limit)


def _of_pending(order: Order, after: Position | None) -> tuple[Order, Position | None]:
    """Return the order without what is null of every customer without a segment."""
    return _without(dict.fromkeys(_OF_A_SEGMENT), order, after)


def _without(constants: Mapping[str, Any], order: Order, after: Position | None) -> tuple[Order, Position | None]:
    """Return the order without what has the same value for everybody: MongoDB would sort them all for it."""
    kept = [
        place
        for place, key in enumerate(order)
        if key.field not in constants or (after is not None and after[place] != constants[key.field])
    ]
    return tuple(order[place] for place in kept), after and tuple(after[place] for place in kept)


def _constants(filters: Filters) -> dict[str, Any]:
    """Return the values that all have who match; the CUST_ID orders also those that are equal."""
    equal = {c.field: c.value for c in filters if c.op == Op.EQ and c.field != CUST_ID}
    return equal | {c.field: None for c in filters if c.op == Op.EXISTS and not c.value}


@dataclass(frozen=True, slots=True)
class _Walk:
    """Puts pages together.

    Attributes
    ----------
    within : whether all customers are of one segment; None where other filters may have an index that is better.
        MongoDB would find the right index only by running all of them for a while.
    """

    run: Run
    within: bool | None

    def page(self, query: Document, order: Order, after: Position | None, limit: int) -> list[Document]:
        """Return up to `limit` of the documents that match `query`, in `order`, behind the place `after`."""
        if _has_index(order):
            return self._ranges(query, order, after, limit)
        if after is None:
            return self._groups(query, order, limit)
        found = self._equals(query, order, after[0], after[1:], limit)
        for further in _further(order[0], after[0]):
            if len(found) < limit:
                found += self._groups(both(query, further), order, limit - len(found))
        return found

    def _ranges(self, query: Document, order: Order, after: Position | None, limit: int) -> list[Document]:
        hint = self._index(order[0])
        found: list[Document] = []
        # One after the other: with $or MongoDB would sort what is in a segment that is null.
        for each, keys in _behind(order, after):
            if len(found) < limit:
                found += self.run(both(query, each), [_direction(key) for key in keys], limit - len(found), hint)
        return found

    def _groups(self, query: Document, order: Order, limit: int) -> list[Document]:
        first = order[0]
        by_id = SortKey(CUST_ID, first.descending)
        ahead = self.page(query, (first, by_id), None, limit)
        if len(ahead) < limit:
            return _sorted(ahead, order)
        last = _value(ahead[-1], first)
        whole = [document for document in ahead if _value(document, first) != last]
        return _sorted(whole, order) + self._equals(query, order, last, None, limit - len(whole))

    def _equals(self, query: Document, order: Order, value: Any, after: Position | None, limit: int) -> list[Document]:
        """Return a page of the customers with this value of the first sort key, ordered by the other ones."""
        first, rest = order[0], order[1:]
        # There may be so few that the index of the next key would find them last.
        walk = replace(self, within=None)
        if first.field == "segment":
            walk = replace(self, within=True) if self.within is False else self
            rest, after = _of_pending(rest, after) if value is None else (rest, after)
        return walk.page(both(query, _equal(first, value)), rest, after, limit)

    def _index(self, key: SortKey) -> str | None:
        if self.within is None:
            return None
        if key.field in RANKED:
            return f"segment_by_{key.field}"
        return "segment_members" if self.within else None


def _has_index(order: Order) -> bool:
    """Whether an index gives this order, or MongoDB has to sort."""
    return len(order) == 1 or (order[1].field == CUST_ID and order[0].descending == order[1].descending)


def _behind(order: Order, after: Position | None) -> list[tuple[Document, Order]]:
    """Return the ranges that follow `after` in an order that has an index, and by what each is to be sorted."""
    if after is None:
        return [({}, order)]
    further = _further(order[0], after[0])
    if len(order) == 1:
        return [(each, order) for each in further]
    # Of equals over all segments, MongoDB merges what is in each by the other key alone.
    nothing, rest = _equal(order[0], None), order[1:]
    equals = [(both(_equal(order[0], after[0]), each), rest) for each in _further(order[1], after[1])]
    return equals + [(each, rest if each == nothing else order) for each in further]


def _further(key: SortKey, value: Any) -> list[Document]:
    """Return the ranges that follow a value, in order; null is less than all, but not to MongoDB's ``$lt``."""
    path = PATHS[key.field]
    if value is None:
        return [] if key.descending else [{path: {"$ne": None}}]
    if not key.descending:
        return [{path: {"$gt": value}}]
    return [{path: {"$lt": value}}] + ([] if key.field == CUST_ID else [{path: None}])


def _equal(key: SortKey, value: Any) -> Document:
    return {PATHS[key.field]: value}


def _direction(key: SortKey) -> tuple[str, int]:
    return PATHS[key.field], -1 if key.descending else 1


def _value(document: Document, key: SortKey) -> Any:
    value: Any = document
    for name in PATHS[key.field].split("."):
        value = value.get(name) if value is not None else None
    return value


def _sorted(documents: list[Document], order: Order) -> list[Document]:
    for key in reversed(order):
        documents = sorted(documents, key=lambda d: ((v := _value(d, key)) is not None, v), reverse=key.descending)
    return documents
