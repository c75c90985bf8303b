"""A gateway for a real server whose exports break off: ``granian … support.breaking_exports:create``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from fakes.gateway import FakeGateway
from fakes.store import InMemoryCustomerStore
from flask import Flask

from gateway.services.customers.query import Filters
from gateway.services.customers.store import Row
from gateway.services.errors import StoreUnavailable
from support.customers import stored

WHOLE_ROWS = 6


class BreakingStore(InMemoryCustomerStore):
    """Reads some blocks of rows, then fails."""

    def rows(self, filters: Filters, paths: Sequence[str], size: int) -> Iterator[list[Row]]:
        yield from islice(super().rows(filters, paths, 1), WHOLE_ROWS)
        raise StoreUnavailable("The database has no primary.")


def create() -> Flask:
    """Return the application."""
    store = BreakingStore()
    store.insert_many([stored(f"C{n:02}") for n in range(20)])
    return FakeGateway(store=store).app
