"""Conditions on customers as MongoDB's query language has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.services.customer import PENDING
from gateway.services.customer_query import FIELDS, Condition, Filters, Kind, Op
from shared.contract import BORDERLINE
from shared.features import CUST_ID

Document = dict[str, Any]

PATHS: Mapping[str, str] = {f.name: "_id" if f.name == CUST_ID else ".".join(f.path) for f in FIELDS.values()}
"""Where the stored document has each field."""

SEGMENT = PATHS["segment"]
AFTER_ALL = "\x7f"
"""Greater than every character that a CUST_ID may have."""


def mongo_filter(filters: Filters) -> Document:
    """Return the filter that matches the customers for which all conditions hold."""
    return both(*map(_clause, filters))


def both(*queries: Document) -> Document:
    """Return the filter that matches what all of the `queries` match; empty ones match everything."""
    clauses = [query for query in queries if query]
    return {"$and": clauses} if len(clauses) > 1 else clauses[0] if clauses else {}


def _clause(condition: Condition) -> Document:
    path, value = PATHS[condition.field], condition.value
    kind = FIELDS[condition.field].kind
    if kind == Kind.STATUS:  # pending customers are those without a segment, and that has an index
        return {SEGMENT: None} if value == PENDING else {SEGMENT: {"$ne": None}}
    if kind == Kind.FLAG:
        return {path: {"$lt" if value else "$gte": BORDERLINE}}
    if condition.op == Op.EQ:
        return {path: value}
    if condition.op == Op.EXISTS:
        return {path: {"$ne": None}} if value else {path: None}
    if condition.op == Op.PREFIX:
        return {path: {"$gte": value, "$lt": value + AFTER_ALL}}
    return {path: {f"${condition.op}": list(value) if condition.op == Op.IN else value}}
