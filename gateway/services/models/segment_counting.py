"""Counting the customers of each segment, in the background: duties of the worker.

Whether anything has changed is asked twice a second, and costs as much as reading a document. What has is counted at
once, but for no more than a twentieth of the time, whatever is written: a base of ten thousand customers is at most a
second behind, a million about a minute. No request counts anything (`segment_snapshots`).
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from gateway.services.clock import now
from gateway.services.customers.store import SegmentCounts
from gateway.services.errors import SegmentationError, StoreError
from gateway.services.models.descriptions import ModelDescriptions
from gateway.services.models.model import Model
from gateway.services.models.segment_snapshots import Comparison, SegmentCounter, Snapshot, Snapshots, differences

log = logging.getLogger(__name__)

SHARE: Final = 20
"""Counting goes on for at most one part in so many of the time."""
SETTLED_SECONDS: Final = 5.0
"""How long after the last change that was noticed it is counted once more: a write can be noticed before it counts, as
a transaction that is still to be committed, or one that has not reached a majority."""
COMPARED_SECONDS: Final = 60.0
"""How often the snapshot is compared with the list."""
LEASE_SECONDS: Final = 10.0
"""How long a worker that died leads on."""
LOOK_SECONDS: Final = 0.5
"""Between two looks for changes."""
RENEWED_SECONDS: Final = 3.0
"""How often a worker says that it lives."""


class SegmentCounting:
    """Counts the customers anew after every change; of several workers, the one that leads does.

    A duty of the worker (`gateway.worker.Duty`), beside the others.

    Parameters
    ----------
    list_counts : counts the list by its indexes (`CustomerStore.segment_counts`), to compare with.
    head : returns the position of the change log's last entry.
    """

    def __init__(
        self,
        counter: SegmentCounter,
        snapshots: Snapshots,
        descriptions: ModelDescriptions,
        list_counts: Callable[[], SegmentCounts],
        head: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counter = counter
        self._snapshots = snapshots
        self._descriptions = descriptions
        self._list_counts = list_counts
        self._head = head
        self._clock = clock
        self._worker = secrets.token_hex(8)
        self._leads, self._lead_again_at = False, 0.0
        self._mark: str | None = None
        self._behind, self._settled_at = False, math.inf
        self._not_before = self._compare_at = 0.0
        self._last: Snapshot | None = None

    def run_once(self, heartbeat: Callable[[], None] = lambda: None) -> int:  # noqa: ARG002  # as the port has it
        """Count if something has changed and it is time to; return how often that was.

        Raises
        ------
        StoreError
        """
        if not self._leading():
            return 0
        self._look()
        at = self._clock()
        if at < self._not_before:
            return 0
        if self._behind or self._settled_at <= at:
            self._count()
            return 1
        if self._settled_at == math.inf and at >= self._compare_at:
            self._compare()
        return 0

    def _leading(self) -> bool:
        if self._clock() >= self._lead_again_at:
            led, self._leads = self._leads, False  # also if the database cannot be asked
            self._leads = self._snapshots.lead(self._worker, LEASE_SECONDS)
            self._lead_again_at = self._clock() + RENEWED_SECONDS
            if self._leads and not led:
                self._mark, self._behind = None, False  # what was known is another worker's by now
        return self._leads

    def _look(self) -> None:
        """Notice whether anything was written."""
        mark = self._counter.mark()
        if mark == self._mark:
            return
        if not self._behind:
            self._snapshots.note(self._worker, "computing")
        self._mark, self._behind, self._settled_at = mark, True, self._clock() + SETTLED_SECONDS

    def _count(self) -> None:
        began = self._clock()
        try:
            with self._kept_leading():
                known, position = self._descriptions.last_known(), self._head()
                at, tallies = self._counter.count()
                self._last = Snapshot(at, tallies, position, known.version if known else None)
                self._snapshots.keep(self._worker, self._last)
        except StoreError as error:
            self._not_before = self._clock() + 1 + SHARE * (self._clock() - began)
            self._snapshots.note(self._worker, "failed", str(error))
            raise
        self._behind = False
        if began >= self._settled_at:
            self._settled_at = math.inf
        self._not_before = self._clock() + SHARE * (self._clock() - began)

    def _compare(self) -> None:
        """Compare the snapshot with the list, unless that changes meanwhile; count anew where they disagree."""
        began = self._clock()
        counts = self._list_counts()
        ended = self._clock()
        self._not_before = ended + SHARE * (ended - began)
        if self._last is None or self._counter.mark() != self._mark:
            return
        self._compare_at = ended + COMPARED_SECONDS
        found = differences(self._last, counts)
        said = Comparison(at=now(), as_of=self._last.as_of, agrees=not found, differences=found)
        self._snapshots.note_comparison(self._worker, said)
        if found:
            log.error("the sizes of segments disagree with the list and are counted anew: %s", "; ".join(found))
            self._mark, self._compare_at = None, 0.0

    @contextmanager
    def _kept_leading(self) -> Iterator[None]:
        """Go on leading while it is counted, which may take minutes."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(RENEWED_SECONDS):
                try:
                    self._snapshots.lead(self._worker, LEASE_SECONDS)
                except SegmentationError as error:
                    log.info("it cannot be said that this worker is counting: %s", error)

        renewer = threading.Thread(target=renew, daemon=True, name="leads-counting")
        renewer.start()
        try:
            yield
        finally:
            done.set()
            renewer.join()


class DescriptionUpkeep:
    """Keeps the active model's description for times without the model service.

    A duty of the worker (`gateway.worker.Duty`), beside the others: a model service that hangs must hold up none.
    """

    def __init__(
        self, model: Model, descriptions: ModelDescriptions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._model = model
        self._descriptions = descriptions
        self._clock = clock
        self._version: str | None = None
        self._renew_at = 0.0

    def run_once(self, heartbeat: Callable[[], None] = lambda: None) -> int:  # noqa: ARG002  # as the port has it
        """Renew the description where another version is active, and now and then, because people change names.

        Raises
        ------
        RegistryRefusal, ModelServiceError
        """
        if self._model.version() == self._version and self._clock() < self._renew_at:
            return 0
        self._version = self._descriptions.renewed().version
        self._renew_at = self._clock() + RENEWED_SECONDS
        return 1
