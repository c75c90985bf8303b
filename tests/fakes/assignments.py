"""What workers note of re-scoring, in memory; `contracts.assignments` proves that it behaves as it does on MongoDB."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fakes.changes import InMemoryChangeLog, InMemoryOutboxes
from fakes.deletions import InMemoryDeletedCustomers, InMemoryTransactions
from fakes.model import FakeModel
from fakes.registry import FakeRegistry
from fakes.store import InMemoryCustomerStore
from gateway.services.assignments.reconciler import Reconciler
from gateway.services.assignments.reports import Report, Reported, Reporter
from gateway.services.assignments.rescorings import Counts, Rescorings
from gateway.services.clock import now
from gateway.services.customers.assignment import Assigner
from gateway.services.errors import StoreError
from gateway.services.events.change import Entry


class InMemoryRescoringRecords:
    """Counts by activation and worker; set `failure` to make every call raise it.

    Attributes
    ----------
    counts : by activation and worker; those under an empty name were told.
    scoring : when the workers that are scoring were last heard of.
    """

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], Counts] = {}
        self.scoring: dict[tuple[str, str], datetime] = {}
        self.failure: StoreError | None = None

    def begin(self, activation: str, worker: str) -> None:
        self._use()
        self.counts.setdefault((activation, worker), Counts())
        self.scoring[activation, worker] = now()

    def add(self, activation: str, worker: str, counts: Counts) -> None:
        self._use()
        self.counts[activation, worker] = self.counts.get((activation, worker), Counts()) + counts
        if (activation, worker) in self.scoring:
            self.scoring[activation, worker] = now()

    def pause(self, activation: str, worker: str) -> None:
        self._use()
        self.scoring.pop((activation, worker), None)

    def others(self, activation: str, worker: str, seconds: float) -> bool:
        self._use()
        since = now() - timedelta(seconds=seconds)
        return any(of == activation and who != worker and heard > since for (of, who), heard in self.scoring.items())

    def done(self, activation: str) -> Counts:
        self._use()
        return sum((counts for (of, _), counts in self.counts.items() if of == activation), Counts())

    def end(self, activation: str) -> Counts | None:
        self._use()
        if (activation, "") in self.counts:
            return None
        done, mine = self.done(activation), [key for key in self.counts if key[0] == activation]
        for key in mine:
            del self.counts[key]
        self.counts[activation, ""] = done
        return done if mine else None

    def _use(self) -> None:
        if self.failure:
            raise self.failure


class InMemoryWorkerReports:
    """Reports in a dict, the last one last. Make workers `silent` for some seconds more than they are."""

    def __init__(self) -> None:
        self.reports: dict[str, tuple[Report, datetime]] = {}
        self.silent = 0.0
        self.failure: StoreError | None = None

    def report(self, worker: str, report: Report) -> None:
        self._use()
        self.reports.pop(worker, None)
        self.reports[worker] = report, now()

    def latest(self) -> list[Reported]:
        self._use()
        newest_first = list(self.reports.values())[::-1]
        return [Reported(report, at, (now() - at).total_seconds() + self.silent) for report, at in newest_first]

    def _use(self) -> None:
        if self.failure:
            raise self.failure


@dataclass
class AssignmentHarness:
    """What workers share, so that a test can let several of them score the customers of one store."""

    store: Any = field(default_factory=InMemoryCustomerStore)
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    records: Any = field(default_factory=InMemoryRescoringRecords)
    reports: Any = field(default_factory=InMemoryWorkerReports)
    outboxes: Any = None
    together: Any = None

    def __post_init__(self) -> None:
        if self.outboxes is None:
            self.outboxes = InMemoryOutboxes(InMemoryChangeLog(), self.store, InMemoryDeletedCustomers())
        if self.together is None:
            self.together = InMemoryTransactions(lambda: [self.records.counts, self.outboxes.added])

    def worker(self, model: FakeModel, name: str = "one", clock: Callable[[], float] = time.monotonic) -> Reconciler:
        """Return a worker's duty."""
        rescorings = Rescorings(self.records, self.registry, self.outboxes, self.together, name)
        return Reconciler(
            self.store,
            model,
            Assigner(model, 0.5),
            rescorings,
            Reporter(self.reports, name, clock),
            "digest-of-{}".format,
            clock,
        )

    @property
    def digests(self) -> list[Entry]:
        """What was told of the end of re-scoring."""
        return [entry for entry in self.outboxes.entries() if entry["type"] == "assignments.recomputed"]
