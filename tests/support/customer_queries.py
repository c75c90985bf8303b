"""Random customers with many ties and nulls, random filters and orders, and walks along the pages of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fakes.gateway import CUSTOMERS
from flask.testing import FlaskClient
from hypothesis import strategies as st

from gateway.services.customers.customer import Customer, Placement
from gateway.services.customers.query import (
    FIELDS,
    SORTABLE,
    Condition,
    CustomerQuery,
    FieldKind,
    Filters,
    Op,
    SortKey,
)
from gateway.services.customers.store import CustomerStore
from shared.features import CUST_ID, FEATURES
from support.customers import becoming, stored

START = datetime(2026, 1, 1)
_AMOUNTS = [0.0, 0.0, 0.01, 100.0, 2500.5]
_numbers = {f.name: st.sampled_from(_AMOUNTS if f.maximum > 12 else [1.0, 0.5]) for f in FEATURES if not f.whole}
_numbers |= {f.name: st.sampled_from([1, 6, 12]) for f in FEATURES if f.whole}
_numbers |= {"CREDIT_LIMIT": st.sampled_from([None, 1000.0, 5000.0]), "MINIMUM_PAYMENTS": st.sampled_from([None, 0.0])}
ids = st.text("AB-_.1", min_size=1, max_size=3).filter(lambda text: text not in (".", ".."))
_times = st.integers(0, 3).map(lambda n: START + timedelta(milliseconds=n))
_segments = st.sampled_from(["seg-01", "seg-02"])
_versions = st.sampled_from(["v1", "v2"])
_confidences = st.sampled_from([0.5, 0.9, 0.95])
_assignments = st.builds(
    Placement,
    id=_segments,
    confidence=_confidences,
    rival=st.none() | _segments,
    model_version=_versions,
    assigned_at=_times,
)


@st.composite
def customers(draw: st.DrawFn, cust_id: str | None = None) -> Customer:
    """Generate a stored customer whose values others are likely to have, too."""
    changes = draw(st.fixed_dictionaries(_numbers))
    customer = stored(cust_id or draw(ids), draw(st.none() | _assignments), **changes)
    return customer | {"created_at": draw(_times), "updated_at": draw(_times)}


populations = st.lists(customers(), max_size=25, unique_by=lambda c: c[CUST_ID])

_VALUES: dict[FieldKind, st.SearchStrategy[Any]] = {
    FieldKind.ID: ids,
    FieldKind.NUMBER: st.sampled_from([0.0, 0.5, 0.9, 1.0, 6.0, 100.0, 2500.5, 5000.0]),
    FieldKind.NAME: _segments | _versions,
    FieldKind.FLAG: st.booleans(),
    FieldKind.STATUS: st.sampled_from(["assigned", "pending"]),
    FieldKind.TIME: _times,
}


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """Generate a condition on any field, in any of the ways that it knows."""
    field = draw(st.sampled_from(sorted(FIELDS.values(), key=lambda f: f.name)))
    op = draw(st.sampled_from(field.ops))
    values = _VALUES[field.kind]
    if op == Op.EXISTS:
        values = st.booleans()
    if op == Op.IN:
        values = st.lists(values, min_size=1, max_size=3).map(tuple)
    return Condition(field.name, op, draw(values))


filters = st.lists(conditions(), max_size=3, unique_by=lambda c: (c.field, c.op)).map(tuple)
sort_keys = st.builds(SortKey, st.sampled_from(SORTABLE), st.booleans())
sorts = st.lists(sort_keys, max_size=4, unique_by=lambda key: key.field)


def query_string(wanted: Filters, keys: list[SortKey], limit: int) -> dict[str, str]:
    """Return what a client sends to ask for this."""
    query = {f"{c.field}[{c.op}]": _text(c.value) for c in wanted} | {"limit": str(limit)}
    if keys:
        query["sort"] = ",".join(("-" if key.descending else "") + key.field for key in keys)
    return query


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value.isoformat()}Z" if isinstance(value, datetime) else str(value)


def walk(client: FlaskClient, query: dict[str, str], meanwhile: Callable[[], object] = lambda: None) -> Iterator[Any]:
    """Yield the customers on all pages of a list, following its links; `meanwhile` is called between two pages."""
    address, following = CUSTOMERS, dict(query)
    while following:
        answer = client.get(address, query_string=following)
        assert answer.status_code == 200, answer.text
        yield from answer.json["items"]
        links = {link.rsplit("=", 1)[1]: link[1 : link.index(">")] for link in answer.headers["Link"].split(", ")}
        assert ('"next"' in links) == (answer.json["next_cursor"] is not None)
        following = dict(parse_qsl(urlsplit(links.get('"next"', "")).query))
        assert following in ({}, {**query, "cursor": answer.json["next_cursor"]})
        meanwhile()


@st.composite
def disturbances(draw: st.DrawFn, store: CustomerStore, stable: set[str]) -> None:
    """Write to the store what leaves the `stable` customers alone: others come, change and go."""
    for _ in range(draw(st.integers(0, 3))):
        cust_id = draw(ids.filter(lambda text: text not in stable))
        old = store.get(cust_id)
        if old is None:
            store.insert(draw(customers(cust_id)))
        elif draw(st.booleans()):
            store.update(becoming(old, draw(customers(cust_id))))
        else:
            store.delete(cust_id)


def expected(store: CustomerStore, wanted: Filters, order: tuple[SortKey, ...], among: set[str]) -> list[str]:
    """Return the CUST_IDs of those `among` the stored customers that fit, in order, as one page has them."""
    found = store.find(CustomerQuery(wanted, order, limit=100))
    return [c[CUST_ID] for c in found if c[CUST_ID] in among]
