"""Making stored assignments agree with the active model: the worker's job, safe to kill and to run twice.

There is no queue: which customers are due is a query, so nothing can be forgotten, and every write is guarded by
the revision that was scored, so a customer changed meanwhile is simply still due.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from gateway.services.assignment import Assigner
from gateway.services.customer import Customer, new_revision
from gateway.services.errors import ModelRefused, StoreError, StoreUnavailable
from gateway.services.model import Model
from gateway.services.ports import CustomerStore
from shared.features import CUST_ID

log = logging.getLogger(__name__)

BATCH = 1_000


class Reconciler:
    """Assigns customers that are pending or were assigned by another model version."""

    def __init__(self, store: CustomerStore, model: Model, assigner: Assigner) -> None:
        self._store = store
        self._model = model
        self._assigner = assigner

    def run_once(self, alive: Callable[[], None] = lambda: None) -> int:
        """Go through all due customers once, in CUST_ID order; return how many were assigned.

        Parameters
        ----------
        alive : called after each batch, so that a long pass does not look like a hang.

        Raises
        ------
        ModelServiceError, StoreError
            the pass ends there; the next one carries on.
        """
        version = self._model.version()
        assigned, after = 0, None
        while due := self._store.due(version, after, BATCH):
            assigned += self._assign(due)
            after = due[-1][CUST_ID]
            alive()
        if assigned:
            log.info("assigned %d customers by model %s", assigned, version)
        return assigned

    def _assign(self, due: list[Customer]) -> int:
        """Assign a batch; one customer that cannot be assigned must not hold up the others."""
        try:
            segments = self._assigner.score(due)
            return self._store.assign_many(
                [(c[CUST_ID], c["revision"], segment, new_revision()) for c, segment in zip(due, segments, strict=True)]
            )
        except StoreUnavailable:
            raise
        except (ModelRefused, StoreError) as error:
            if len(due) == 1:
                log.error("customer %s cannot be assigned until its data are corrected: %s", due[0][CUST_ID], error)
                return 0
        half = len(due) // 2
        return self._assign(due[:half]) + self._assign(due[half:])
