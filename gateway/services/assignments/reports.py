"""What each worker says of the re-scoring that it does, for whoever asks how it goes on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock
from typing import Literal, NamedTuple, Protocol

from gateway.services.clock import now

RescoringState = Literal["idle", "running", "standing_still"]

REPORT_SECONDS = 2.0
"""How often a worker repeats or refreshes what it says; what is new, it says at once."""
_MARKS = 60
"""Batches that the rate is measured over."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of itself.

    Attributes
    ----------
    since : when this state began.
    reason : why it stands still.
    model_version : the version that customers are scored with.
    activation : the id of the activation that this is done for (`rescorings.Cause`).
    left : how many customers have still to be scored, or had when that was counted.
    done : how many had been scored then; None where `left` is as of now.
    """

    state: RescoringState
    since: datetime
    reason: str | None = None
    model_version: str | None = None
    activation: str | None = None
    left: int | None = None
    rate_per_second: float | None = None
    done: int | None = None

    def left_after(self, done: int) -> int | None:
        """Return how many customers are left now that so many have been scored, by whichever worker."""
        if self.left is None or self.done is None:
            return self.left
        return max(0, self.left + self.done - done)


class Reported(NamedTuple):
    """A worker's last report, and how long it has been silent since, by the database's clock."""

    report: Report
    at: datetime
    silent_seconds: float


class WorkerReports(Protocol):
    """The last report of each worker, for some days. Every method may raise `StoreError`."""

    def report(self, worker: str, report: Report) -> None:
        """Keep a worker's report in the place of its last one."""

    def latest(self) -> list[Reported]:
        """Return the last report of each worker, those first that were heard of last."""


class Reporter:
    """Says what one worker does; threads may share it.

    Every method may raise `StoreError`.
    """

    def __init__(self, reports: WorkerReports, worker: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._reports = reports
        self._worker = worker
        self._clock = clock
        self._report = Report("idle", now())
        self._said_at = -REPORT_SECONDS
        self._marks: deque[tuple[float, int]] = deque(maxlen=_MARKS)
        self._lock = Lock()

    def idle(self, version: str, activation: str) -> None:
        """Say that no customer is left."""
        self._say("idle", model_version=version, activation=activation, left=0)

    def running(self, version: str, activation: str, left: int | None, done: int) -> None:
        """Say that there are customers to score; `left` and `done` were counted together."""
        if self._report.state != "running":
            self._marks.clear()
            self._marks.append((self._clock(), 0))
        self._say("running", model_version=version, activation=activation, left=left, done=done)

    def scored(self, customers: int) -> None:
        """Count customers that have been scored."""
        with self._lock:
            self._marks.append((self._clock(), self._marks[-1][1] + customers if self._marks else customers))
            self._report = replace(self._report, rate_per_second=self._rate())
        self.again()

    def standing_still(self, reason: str, left: int | None = None) -> None:
        """Say that customers may be left, and why nothing is done about it; `left` is as before where not known."""
        last = self._report
        left, done = (last.left, last.done) if left is None else (left, None)
        self._say(
            "standing_still",
            reason,
            model_version=last.model_version,
            activation=last.activation,
            left=left,
            done=done,
        )

    def again(self) -> None:
        """Repeat the last report if it is time, so that the worker does not seem to be gone."""
        with self._lock:
            if self._clock() < self._said_at + REPORT_SECONDS:
                return
            self._said_at, report = self._clock(), self._report
        self._reports.report(self._worker, report)

    def _say(
        self,
        state: RescoringState,
        reason: str | None = None,
        *,
        model_version: str | None,
        activation: str | None,
        left: int | None,
        done: int | None = None,
    ) -> None:
        last = self._report
        since = last.since if last.state == state else now()
        new = Report(state, since, reason, model_version, activation, left, done=done)
        if state == "running":
            new = replace(new, rate_per_second=last.rate_per_second if last.state == state else None)
        with self._lock:
            if (new.state, new.reason, new.model_version) != (last.state, last.reason, last.model_version):
                self._said_at = -REPORT_SECONDS
            self._report = new
        self.again()

    def _rate(self) -> float | None:
        (began, before), (ended, after) = self._marks[0], self._marks[-1]
        return (after - before) / (ended - began) if ended > began else None
