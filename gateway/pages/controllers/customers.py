"""The room of the customers: a table to look through, each of them in full, and the deleted ones."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from flask import Response, request

from gateway.controllers.http import query
from gateway.pages import customer_filters as filters
from gateway.pages.customer_filters import RANGES, TableRequest, is_percent
from gateway.pages.rendering import page
from gateway.pages.size_history import Former
from gateway.routes import API
from gateway.schemas.customer_queries import EXPORT_FORMATS, list_request
from gateway.schemas.paging import CURSOR, POSITION_CURSOR, Cursors, cursor_after
from gateway.schemas.queries import CUST_ID_SCHEMA, text
from gateway.services.customers.customer import Customer, DeletedCustomer
from gateway.services.customers.customers import CustomerService
from gateway.services.customers.deletions import DeletionService
from gateway.services.customers.lists import CustomerLists
from gateway.services.customers.query import FIELDS, LABELS, MEMBERS, SORTABLE, Exactness, Total, value_of
from gateway.services.customers.segment import CustomerSegment, CustomerSegmentService
from gateway.services.errors import (
    CustomerNotDeleted,
    CustomerNotFound,
    InvalidInput,
    ModelServiceError,
    QueryNotIndexed,
    QueryTimeout,
)
from gateway.services.events.history import HistoryEntry, HistoryService
from gateway.services.models.descriptions import Description, names_in
from shared.contract import BORDERLINE
from shared.features import CUST_ID, FEATURES, INPUTS, cust_id_fault
from shared.findings import findings

COLUMNS: Final = ("segment", "confidence", "rival", *(f.name for f in FEATURES), "updated_at", "created_at")
"""What the table can show of a customer beside its id."""
_USUAL: Final = ("segment", "confidence", *(f.name for f in FEATURES if f.sortable))
_CHOICE: Final = "columns"
"""The cookie in which a browser remembers the columns (`static/customers.js` writes it)."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A page of the table; ``total`` is None where it would take long to know."""

    rows: Sequence[Mapping[str, Any]]
    next_page: str | None
    total: Total | None


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why there is no table: ``invalid`` parameters, what is ``not_indexed``, or ``slow``."""

    kind: str
    status: int
    faults: Mapping[str, str]


class CustomerTableController:
    """All customers, filtered and sorted, some at a time.

    Parameters
    ----------
    describe : returns the active model's description, None if it is not known.
    former : says what segments are called that the model does not have any more.
    """

    PARAMETERS: Final = filters.PARAMETERS

    def __init__(
        self, lists: CustomerLists, cursors: Cursors, describe: Callable[[], Description | None], former: Former
    ) -> None:
        self._lists = lists
        self._cursors = cursors
        self._describe = describe
        self._former = former

    def table(self) -> Response:
        """GET /customers."""
        asked, columns = filters.read(query()), _chosen_columns()
        found = self._found(asked, columns)
        refusal = found if isinstance(found, _Refusal) else None
        rows = [] if isinstance(found, _Refusal) else found.rows
        segments = {value_of(row, name) for row in rows for name in ("segment", "rival") if name in columns}
        return page(
            "customers.html",
            refusal.status if refusal else 200,
            asked=asked,
            columns=columns,
            all_columns=COLUMNS,
            exports=_exports(asked, columns),
            faults=refusal.faults if refusal and refusal.kind == "invalid" else {},
            former=self._former(segments - {None}),
            found=None if refusal else found,
            labels=LABELS,
            names=names_in(self._describe()),
            ranges=RANGES,
            refusal=refusal,
            sortable=SORTABLE,
            is_percent=is_percent,
            value_of=value_of,
            BORDERLINE=BORDERLINE,
        )

    def _found(self, asked: TableRequest, columns: Sequence[str]) -> _Found | _Refusal:
        if asked.faults:
            return _Refusal("invalid", 422, asked.faults)
        shown = _members(columns)
        try:
            wanted = list_request({**asked.values, "fields": shown}, self._cursors)
            counted: Exactness | None = "estimated" if self._lists.is_counted_fast(wanted.query.filters) else None
            found, total = self._lists.page(wanted.query, counted)
        except QueryNotIndexed as error:
            faults = {each["pointer"].removeprefix("?"): each["detail"] for each in error.errors}
            return _Refusal("not_indexed", 422, faults)
        except InvalidInput as error:
            return _Refusal("invalid", 422, filters.faults_of(error))
        except QueryTimeout:
            return _Refusal("slow", 503, {})
        following = asked.address(cursor=self._cursors.write(wanted.list_id, found.end)) if found.end else None
        return _Found(found.items, following, total)


def _chosen_columns() -> tuple[str, ...]:
    """Return the columns that the browser remembers, in the order of `COLUMNS`; else the usual ones."""
    chosen = request.cookies.get(_CHOICE, "").split(".")
    return tuple(name for name in COLUMNS if name in chosen) or _USUAL


def _members(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the members of a customer that have what the columns show."""
    wanted = {CUST_ID, "segment_status", *(FIELDS[column].path[0] for column in columns)}
    return tuple(member for member in MEMBERS if member in wanted)


def _exports(asked: TableRequest, columns: Sequence[str]) -> Mapping[str, str]:
    """Return the addresses of files with the customers that match: for people as the table shows them, and in full."""
    shown = _export(asked, "csv", {"columns": ",".join((CUST_ID, *columns))})
    return {"shown": shown, **{kind: _export(asked, kind, {}) for kind in EXPORT_FORMATS}}


def _export(asked: TableRequest, kind: str, more: Mapping[str, str]) -> str:
    return f"{API}/exports/customers?{urlencode({'format': kind, **more, **asked.conditions})}"


class CustomerPageController:
    """One customer: who it is, why, what would change that, what has happened to it, and all its data."""

    PARAMETERS: Final = (POSITION_CURSOR,)

    def __init__(
        self,
        customers: CustomerService,
        segments: CustomerSegmentService,
        history: HistoryService,
        deletions: DeletionService,
        former: Former,
    ) -> None:
        self._former = former
        self._customers = customers
        self._segments = segments
        self._history = history
        self._deletions = deletions

    def show(self, cust_id: str) -> Response:
        """GET /customers/{CUST_ID}."""
        try:
            if cust_id_fault(cust_id):
                raise CustomerNotFound(cust_id)
            return self._in_full(self._customers.get(cust_id))
        except CustomerNotFound:
            return self._gone(cust_id)

    def _in_full(self, customer: Customer) -> Response:
        cust_id = customer[CUST_ID]
        segment, unexplained = self._segment(cust_id)
        explain = unexplained is None  # or the model service would be waited for a second time
        items, memory = self._history.page(cust_id, query().get("cursor"), _ENTRIES, explain=explain)
        return page(
            "customer.html",
            customer=customer,
            segment=segment,
            gone=self._former(_nameless(segment, items.items)),
            unexplained=unexplained,
            entries=items.items,
            older=cursor_after(items.end) if items.end else None,
            newest="cursor" not in query(),
            memory=memory,
            inputs=INPUTS,
            all_features=FEATURES,
            in_form=_in_form,
            is_percent=is_percent,
            odd=findings(customer),
            days=self._deletions.retention.days,
        )

    def _segment(self, cust_id: str) -> tuple[CustomerSegment, str | None]:
        """Return the segment, explained or not, and why not: the model is ``away``, or data are ``missing``."""
        try:
            return self._segments.get(cust_id, explain=True), None
        except ModelServiceError:
            return self._segments.get(cust_id), "away"
        except InvalidInput:
            return self._segments.get(cust_id), "missing"

    def _gone(self, cust_id: str) -> Response:
        copy: DeletedCustomer | None = None
        if not cust_id_fault(cust_id):
            with contextlib.suppress(CustomerNotDeleted):
                copy = self._deletions.get(cust_id)
        return page("customer_gone.html", 200 if copy else 404, cust_id=cust_id, copy=copy)


def _nameless(segment: CustomerSegment, entries: Sequence[HistoryEntry]) -> set[str]:
    """Return the ids of the segments on a customer's page that the active model has no name for."""
    moves = [move for entry in entries if (move := entry.get("segment"))]
    shown = [segment["segment"], segment["rival"], *(entry.get("was") for entry in entries)]
    shown += [end for move in moves for end in (move["from"], move["to"])]
    return {each["id"] for each in shown if each and each["name"] is None}


_ENTRIES: Final = 10
"""How many changes a page shows: each that is a move is explained by the model service."""


def _in_form(value: float | None, field: str) -> str:
    """Return a value as the form has it: exactly, and shares in percent."""
    if value is None:
        return ""
    number = Decimal(repr(value))
    plain = f"{number.scaleb(2) if is_percent(field) else number:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


class DeletedCustomersController:
    """The customers that can be restored."""

    PARAMETERS: Final = (CURSOR, text(CUST_ID, "The deleted customer that is looked for", CUST_ID_SCHEMA))

    def __init__(self, deletions: DeletionService, describe: Callable[[], Description | None], former: Former) -> None:
        self._deletions = deletions
        self._describe = describe
        self._former = former

    def list(self) -> Response:
        """GET /deleted-customers."""
        sought = query().get(CUST_ID, "").strip()
        rows, end = self._one(sought) if sought else self._some(query().get("cursor"))
        return page(
            "deleted_customers.html",
            rows=rows,
            former=self._former({segment["id"] for row in rows if (segment := row["segment"])}),
            sought=sought,
            first="cursor" not in query(),
            next_page=f"/deleted-customers?cursor={cursor_after(end)}" if end else None,
            names=names_in(self._describe()),
            days=self._deletions.retention.days,
        )

    def _one(self, cust_id: str) -> tuple[Sequence[DeletedCustomer], None]:
        try:
            return ([] if cust_id_fault(cust_id) else [self._deletions.get(cust_id)]), None
        except CustomerNotDeleted:
            return [], None

    def _some(self, after: str | None) -> tuple[Sequence[DeletedCustomer], str | None]:
        found = self._deletions.page(after, _DELETED)
        return found.items, found.end


_DELETED: Final = 50
"""How many deleted customers a page shows."""
