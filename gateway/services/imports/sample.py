"""The sample: generated customers to begin with, so that one call removes exactly them.

A customer is the sample's while its inputs are those of the sample's row. Whoever has other data under such an id was
edited or is the bank's: it is neither overwritten nor deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final, NamedTuple, TypedDict

from gateway.services.customers.deletions import DELETED_AT_ONCE, DeletionService
from gateway.services.customers.query import BY_ID, Condition, CustomerQuery, Filters, Op
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import OthersStored
from gateway.services.imports.imports import ImportOptions, ImportService
from gateway.services.imports.records import Import, ImportMode
from gateway.services.imports.source import Source
from gateway.services.principal import Principal
from shared.features import CUST_ID, INPUT_NAMES

SIZE: Final = 6_000
IDS: Final = tuple(f"S{number:05}" for number in range(1, SIZE + 1))
"""The ids of the sample's customers (data/README.md); no bank's customers should have them."""
NAME: Final = "sample.csv"
_ROWS = 10_000
_SECONDS = 30.0
"""After which a removal begins with no further ones."""


class SampleState(TypedDict):
    """How many of the ``size`` customers of the sample are stored.

    Their ids are ``first`` to ``last``. Who has such an id and other data is ``changed``: edited, or never the
    sample's. Where there are ``others``, also such, the sample is not loaded beside them.
    """

    customers: int
    changed: int
    size: int
    first: str
    last: str
    others: bool


class SampleRemoval(TypedDict):
    """How many customers of the sample were deleted; those ``remaining``, where it took too long, go with another call.

    Each can be restored for as long as any deleted customer. The ``changed`` ones stay: see `SampleState`.
    """

    deleted: int
    remaining: int
    changed: int


class SampleFile(NamedTuple):
    """The file of the sample, opened, and its size in bytes."""

    source: Source
    size: int


class _Found(NamedTuple):
    """The ids of the stored customers of the sample, and when they were last written; how many others there are."""

    ids: list[str]
    written: datetime | None
    changed: int
    others: bool


class SampleService:
    """Loads the sample and removes it.

    Parameters
    ----------
    open_file : opens the sample without the rows of these customers; may raise `SampleMissing`.
    """

    def __init__(
        self,
        store: CustomerStore,
        imports: ImportService,
        deletions: DeletionService,
        open_file: Callable[[Collection[str]], SampleFile],
    ) -> None:
        self._store = store
        self._imports = imports
        self._deletions = deletions
        self._open_file = open_file
        self._inputs: dict[str, list[float | int | None]] | None = None

    def state(self) -> SampleState:
        """Return how much of the sample is stored, and whether there are other customers.

        Raises
        ------
        SampleMissing, StoreError
        """
        found = self._look()
        return SampleState(
            customers=len(found.ids),
            changed=found.changed,
            size=SIZE,
            first=IDS[0],
            last=IDS[-1],
            others=found.others or found.changed > 0,
        )

    def load(self, by: Principal) -> Import:
        """Import the sample, or what is missing of it; return the receipt. Nobody who is stored is changed.

        Raises
        ------
        OthersStored, SampleMissing, ImportRunning
        ImportInterrupted, StoreError
            some of it may be stored then; the same call again finishes it.
        """
        with self._imports.held() as go_on:
            found = self._look()
            if found.others or found.changed:
                raise OthersStored(found.changed)
            file = self._open_file(found.ids)
            order = ImportOptions(ImportMode.INSERT, name=NAME, size=file.size, holder=go_on())
            run = self._imports.begin(file.source, order, by)
        for _ in run.progress():
            pass
        run.check()
        return run.record

    def remove(self) -> SampleRemoval:
        """Delete the sample's customers, and nobody else.

        Raises
        ------
        SampleMissing
        ImportRunning, StoreError
            some may have been deleted then; the same call again deletes the others.
        """
        ends_at = time.monotonic() + _SECONDS
        with self._imports.held() as go_on:
            found, deleted = self._look(), 0
            unchanged = (Condition("updated_at", Op.LTE, found.written),)  # who is written now is the sample's no more
            for first in range(0, len(found.ids), DELETED_AT_ONCE):
                if time.monotonic() >= ends_at:
                    break
                go_on()
                deleted += self._deletions.delete_listed(found.ids[first : first + DELETED_AT_ONCE], unchanged)
            left = self._look()
        return SampleRemoval(deleted=deleted, remaining=len(left.ids), changed=left.changed)

    def _look(self) -> _Found:
        """Return who of the sample is stored, and whether anybody else is."""
        of_sample = self._sample()
        ids: list[str] = []
        times: list[datetime] = []
        changed, others = 0, False
        within = (Condition(CUST_ID, Op.GTE, IDS[0]), Condition(CUST_ID, Op.LTE, IDS[-1]))
        for rows in self._store.rows(within, (CUST_ID, "updated_at", *INPUT_NAMES), _ROWS):
            same = [row for row in rows if of_sample.get(row[0]) == row[2:]]
            known = sum(row[0] in of_sample for row in rows)
            ids += [row[0] for row in same]
            times += [row[1] for row in same]
            changed, others = changed + known - len(same), others or known < len(rows)
        outside = [(Condition(CUST_ID, Op.LT, IDS[0]),), (Condition(CUST_ID, Op.GT, IDS[-1]),)]
        return _Found(ids, max(times, default=None), changed, others or any(map(self._anybody, outside)))

    def _sample(self) -> dict[str, list[float | int | None]]:
        """Return the inputs of the sample's customers."""
        if self._inputs is None:
            source = self._open_file(()).source
            try:
                customers = [customer for batch in source.batches() for customer in batch.customers]
            finally:
                source.close()
            self._inputs = {cust_id: [features[name] for name in INPUT_NAMES] for cust_id, features in customers}
        return self._inputs

    def _anybody(self, filters: Filters) -> bool:
        return bool(self._store.find(CustomerQuery(filters, BY_ID, limit=1, fields=(CUST_ID,))))
