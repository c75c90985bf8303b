"""What the services need from outside. `gateway.data_access` implements it; tests run fakes of the same shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from gateway.services.customers.customer import CustomerPart, StoredCustomer, Update
from gateway.services.customers.query import CustomerQuery, Filters, Total

MAX_ATTEMPTS = 20
"""How often a write starts over when others keep changing the same customer."""


@dataclass(frozen=True, slots=True)
class SegmentCounts:
    """How many customers are stored, by segment id and by model version; ``pending`` ones have no segment yet."""

    by_segment: Mapping[str, int]
    by_version: Mapping[str, int]
    pending: int

    @property
    def total(self) -> int:
        """All stored customers."""
        return sum(self.by_segment.values()) + self.pending


Row = list[Any]
"""Values of one stored customer, in the order of the paths."""


class Block(NamedTuple):
    """Some customers by column: under each feature's name one value for each of them, and their CUST_IDs.

    There are no ids where nobody wants to know who they are.
    """

    ids: list[str]
    columns: dict[str, list[float | int | None]]


class BulkStore(Protocol):
    """What writing many customers at once needs of a `CustomerStore`."""

    def get_many(self, cust_ids: Sequence[str]) -> dict[str, StoredCustomer]:
        """Return those of the customers that exist, by CUST_ID, without their outboxes."""

    def insert_many(self, customers: Sequence[StoredCustomer]) -> set[str]:
        """Store new customers; return the CUST_IDs that were taken and so not stored."""

    def update_many(self, updates: Sequence[Update]) -> set[str]:
        """Write updates; return the CUST_IDs of the customers that stay as they are, having another revision by now."""


class CustomerStore(BulkStore, Protocol):
    """Customers, kept durably. Every method may raise `StoreError` or `StoreUnavailable`."""

    def get(self, cust_id: str) -> StoredCustomer | None:
        """Return one customer, without its outbox, or None. Takes part in transactions."""

    def find(self, query: CustomerQuery) -> list[CustomerPart]:
        """Return the customers that `query` asks for, in its order, with at least its fields, as they are shown.

        A customer that keeps its values while others are written has one place in any order. All are as they were at
        one moment: fewer than the limit are the last ones. May raise `QueryTimeout`.
        """

    def count(self, filters: Filters, exact: bool) -> Total:
        """Count the customers that all filters hold for (`Total` says what else is allowed); may raise `QueryTimeout`.

        Without `exact` it is fast, unless the filters match few customers and no index finds them.
        """

    def stream(self, features: Sequence[str], rows: int) -> Iterator[Block]:
        """Yield all customers' `features` in CUST_ID order, in blocks of at most `rows`; null where one has no value.

        Memory stays that of a block. Customers written meanwhile may or may not be among them, none comes twice.
        """

    def rows(self, filters: Filters, paths: Sequence[str], size: int) -> Iterator[list[Row]]:
        """Yield the values at `paths` of the customers that all filters hold for, in blocks of at most `size` rows.

        A path is CUST_ID, which comes first, or names a member of a `Customer`, ``segment.id`` one within it; null
        where a customer has none. In CUST_ID order; memory stays that of a block. A customer that is there and
        fits the filters throughout comes exactly once.
        """

    def insert(self, customer: StoredCustomer) -> None:
        """Store a new customer; raise `CustomerExists` when the CUST_ID is taken. Takes part in transactions."""

    def update(self, update: Update) -> bool:
        """Write an update, unless the customer has another revision by now; return whether it was written."""

    def delete(self, cust_id: str) -> StoredCustomer | None:
        """Delete a customer and return it as it was, with its outbox, or None. Takes part in transactions."""

    def delete_many(self, cust_ids: Sequence[str], filters: Filters) -> list[StoredCustomer]:
        """Delete those of the customers that all filters hold for; return them as they were, in no particular order.

        Takes part in transactions.
        """

    def due(
        self, model_version: str, after: str | None, limit: int, having: Sequence[str] = ()
    ) -> list[StoredCustomer]:
        """Return customers that are pending or assigned by another model version, in CUST_ID order.

        Those that lack one of the features in `having` are left out.
        """

    def lacked_by_due(self, model_version: str, features: Sequence[str]) -> list[str]:
        """Return which of the features a customer that is due lacks; nothing where none does, or looking takes long.

        A customer lacks a feature if it was stored before there was such a feature.
        """

    def somewhere(self) -> str | None:
        """Return the CUST_ID of any customer; None where there is none, or to begin at the first."""

    def segment_counts(self) -> SegmentCounts:
        """Count the stored customers by segment, and by the version that put them there; all as of one moment."""

    def drop_sort_indexes(self) -> None:
        """Drop what only filtered and sorted lists need, so that a first load is several times as fast.

        Lists stay right and become slow, for many customers up to `QueryTimeout`. Only for a store that is nearly
        empty; the worker makes them again when no first load is running (`services.schema`).
        """

    def ping(self) -> None:
        """Raise `StoreUnavailable` unless the database can take writes now."""
