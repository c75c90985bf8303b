"""The sample: generated customers to begin with, under ids of their own, so that one call removes exactly them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypedDict

from gateway.services.customers.deletions import DeletionService
from gateway.services.customers.query import BY_ID, Condition, CustomerQuery, Filters, Op
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import OthersStored
from gateway.services.imports.imports import ImportOptions, ImportService
from gateway.services.imports.records import Import
from gateway.services.imports.source import Source
from gateway.services.principal import Principal
from shared.features import CUST_ID

SIZE: Final = 6_000
IDS: Final = tuple(f"S{number:05}" for number in range(1, SIZE + 1))
"""The ids of the sample's customers (data/README.md); no bank's customers should have them."""
NAME: Final = "sample.csv"
_ROWS = 10_000


class SampleState(TypedDict):
    """How many of the ``size`` customers of the sample are stored.

    Their ids are ``first`` to ``last``. Where there are ``others`` the sample is not loaded beside them.
    """

    customers: int
    size: int
    first: str
    last: str
    others: bool


class SampleRemoval(TypedDict):
    """How many customers of the sample were deleted; those ``remaining``, where it took too long, go with another call.

    Each can be restored for as long as any deleted customer.
    """

    deleted: int
    remaining: int


class SampleFile(NamedTuple):
    """The file of the sample, opened, and its size in bytes."""

    source: Source
    size: int


class SampleService:
    """Loads the sample and removes it.

    Parameters
    ----------
    open_file : opens the sample; may raise `SampleMissing`.
    """

    def __init__(
        self,
        store: CustomerStore,
        imports: ImportService,
        deletions: DeletionService,
        open_file: Callable[[], SampleFile],
    ) -> None:
        self._store = store
        self._imports = imports
        self._deletions = deletions
        self._open_file = open_file

    def state(self) -> SampleState:
        """Return how much of the sample is stored, and whether there are other customers.

        Raises
        ------
        StoreError
        """
        stored, others = self._look()
        return SampleState(customers=stored, size=SIZE, first=IDS[0], last=IDS[-1], others=others)

    def load(self, by: Principal) -> Import:
        """Import the sample, also what is missing of it; return the receipt.

        Raises
        ------
        OthersStored, SampleMissing
        ImportInterrupted, StoreError
            some of it may be stored then; the same call again finishes it.
        """
        if self._look()[1]:
            raise OthersStored
        file = self._open_file()
        run = self._imports.begin(file.source, ImportOptions(name=NAME, size=file.size), by)
        for _ in run.progress():
            pass
        run.check()
        return run.record

    def remove(self) -> SampleRemoval:
        """Delete the sample's customers, and nobody else.

        Raises
        ------
        StoreError
            some may have been deleted then; the same call again deletes the others.
        """
        deleted = self._deletions.delete_listed(IDS)
        return SampleRemoval(deleted=deleted, remaining=self._look()[0])

    def _look(self) -> tuple[int, bool]:
        """Return how many of the sample are stored, and whether anybody else is."""
        of_sample, stored, others = frozenset(IDS), 0, False
        within = (Condition(CUST_ID, Op.GTE, IDS[0]), Condition(CUST_ID, Op.LTE, IDS[-1]))
        for rows in self._store.rows(within, (CUST_ID,), _ROWS):
            known = sum(row[0] in of_sample for row in rows)
            stored, others = stored + known, others or known < len(rows)
            if stored == SIZE:
                break
        outside = [(Condition(CUST_ID, Op.LT, IDS[0]),), (Condition(CUST_ID, Op.GT, IDS[-1]),)]
        return stored, others or any(map(self._anybody, outside))

    def _anybody(self, filters: Filters) -> bool:
        return bool(self._store.find(CustomerQuery(filters, BY_ID, limit=1, fields=(CUST_ID,))))
