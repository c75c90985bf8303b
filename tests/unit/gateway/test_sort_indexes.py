"""The worker sees to it that lists have their indexes."""

from __future__ import annotations

import pytest
from fakes.gateway import FakeGateway
from fakes.store import SORT_INDEXES, InMemoryCustomerStore

from gateway import worker
from gateway.services.errors import StoreUnavailable
from gateway.services.imports.first_load import SortIndexes


def test_what_is_missing_is_built_and_shows_that_the_worker_lives(store: InMemoryCustomerStore) -> None:
    store.drop_sort_indexes()
    alive: list[None] = []
    duty = SortIndexes(store)
    assert duty.run_once(lambda: alive.append(None)) == SORT_INDEXES
    assert len(alive) == SORT_INDEXES
    assert duty.run_once() == 0


def test_nothing_is_built_under_a_first_load(store: InMemoryCustomerStore) -> None:
    store.drop_sort_indexes()
    loading = [True]
    duty = SortIndexes(store, lambda: loading[0])
    assert duty.run_once() == 0
    loading[0] = False
    assert duty.run_once() == SORT_INDEXES


def test_a_store_that_is_away_is_tried_again(store: InMemoryCustomerStore) -> None:
    store.failure = StoreUnavailable("away")
    assert isinstance(worker.attempt([SortIndexes(store)], lambda: None), StoreUnavailable)
    with pytest.raises(StoreUnavailable):
        SortIndexes(store).run_once()


def test_the_gateway_brings_the_duty_along() -> None:
    gateway = FakeGateway()
    gateway.store.drop_sort_indexes()
    assert gateway.services.sort_indexes.run_once() == SORT_INDEXES
