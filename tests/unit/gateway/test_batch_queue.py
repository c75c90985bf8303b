"""Batches under way: counted in the order of the file, in whatever order they are stored."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Timer

import pytest

from gateway.services.customers.bulk_writes import RowCounts
from gateway.services.errors import StoreUnavailable
from gateway.services.imports.run import BatchQueue, StoredBatch


def _batch(rows: int) -> StoredBatch:
    return StoredBatch(RowCounts(created=rows), ())


def test_an_earlier_one_is_waited_for_though_a_later_one_is_stored() -> None:
    """It once returned at once, and whoever waited asked again and again without end."""
    counted: list[StoredBatch] = []
    queue = BatchQueue(counted.append)
    first, second = Future[StoredBatch](), Future[StoredBatch]()
    queue.add(first)
    queue.add(second)
    second.set_result(_batch(2))
    Timer(0.05, first.set_result, [_batch(1)]).start()
    assert queue.wait(0, 60)
    assert counted == [_batch(1), _batch(2)]


def test_the_first_failure_of_the_file_is_raised_when_all_are_through() -> None:
    queue = BatchQueue(lambda _: None)
    for failure in (None, StoreUnavailable("first"), StoreUnavailable("second")):
        batch = Future[StoredBatch]()
        queue.add(batch)
        batch.set_exception(failure) if failure else batch.set_result(_batch(1))
    with pytest.raises(StoreUnavailable, match="first"):
        queue.wait(0, 60)
