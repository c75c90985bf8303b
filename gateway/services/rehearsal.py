"""A store that is written to for show."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.services.bulk_writes import BulkStore
from gateway.services.customer import Customer
from shared.features import CUST_ID


class Rehearsal:
    """Says what would become of writes to a store, and makes none."""

    def __init__(self, store: BulkStore) -> None:
        self._store = store

    def get_many(self, cust_ids: Sequence[str]) -> dict[str, Customer]:
        """Return those of the customers that exist, by CUST_ID."""
        return self._store.get_many(cust_ids)

    def insert_many(self, customers: Sequence[Customer]) -> set[str]:
        """Return the CUST_IDs that are taken."""
        return set(self._store.get_many([customer[CUST_ID] for customer in customers]))

    def replace_many(self, customers: Sequence[tuple[Customer, str]]) -> set[str]:  # noqa: ARG002  # as the port has it
        """Return nothing: the revisions have just been read."""
        return set()
