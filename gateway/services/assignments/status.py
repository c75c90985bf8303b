"""How the background work on segments goes on, as clients see it: what is done, what is left, what stands still."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypedDict

from gateway.services.assignments.reports import Report, Reported, RescoringState, WorkerReports
from gateway.services.assignments.rescorings import WORKER_TIMEOUT, RescoringRecords
from gateway.services.clock import now
from gateway.services.events.log import Outboxes
from gateway.services.models.segment_snapshots import SnapshotStatus
from gateway.services.webhooks.deliveries import DeliveriesStatus

_NEVER = "No worker has reported."


class RescoringStatus(TypedDict):
    """How far the customers are scored by the active model.

    ``idle``: nobody is left. ``running``: customers are being scored. ``standing_still``: nobody is being scored, for
    the ``reason``, and some are left as far as is known. ``since`` is when this state began. ``done`` counts the
    customers that were scored after the last activation, ``left`` those that had still to be then; ``eta`` is when that
    will have been done at the present rate. All of it is what the workers said at ``as_of``; of these, ``workers`` were
    heard of in the last half minute.
    """

    state: RescoringState
    workers: int
    model_version: str | None
    done: int
    left: int | None
    rate_per_second: float | None
    eta: datetime | None
    since: datetime | None
    reason: str | None
    as_of: datetime | None


class RelayStatus(TypedDict):
    """How many changes wait to be moved into the change log, and since when the oldest does.

    Beyond some thousands ``waiting`` is an estimate.
    """

    waiting: int
    oldest: datetime | None


class AssignmentsStatus(TypedDict):
    """What the workers do in the background: scoring, logging changes and telling webhooks, counting segments."""

    rescoring: RescoringStatus
    relay: RelayStatus
    snapshots: SnapshotStatus
    deliveries: DeliveriesStatus


class AssignmentsStatusService:
    """Puts together what the workers report.

    Parameters
    ----------
    snapshots : says how old the sizes of segments are.
    deliveries : says how deliveries to webhooks go on.
    """

    def __init__(
        self,
        reports: WorkerReports,
        records: RescoringRecords,
        outboxes: Outboxes,
        snapshots: Callable[[], SnapshotStatus],
        deliveries: Callable[[], DeliveriesStatus],
    ) -> None:
        self._reports = reports
        self._records = records
        self._outboxes = outboxes
        self._snapshots = snapshots
        self._deliveries = deliveries

    def status(self) -> AssignmentsStatus:
        """Return how the background work goes on; it counts no customers.

        Raises
        ------
        StoreError
        """
        waiting = self._outboxes.waiting()
        return AssignmentsStatus(
            rescoring=self._rescoring(self._reports.latest()),
            relay=RelayStatus(waiting=waiting.entries, oldest=waiting.oldest),
            snapshots=self._snapshots(),
            deliveries=self._deliveries(),
        )

    def _rescoring(self, reports: Sequence[Reported]) -> RescoringStatus:
        if not reports:
            return _status(Report("standing_still", now(), _NEVER), 0, None, 0)
        alive = [each for each in reports if each.silent_seconds < WORKER_TIMEOUT]
        report = _of_all([each.report for each in alive]) if alive else _of_the_gone(reports[0])
        done = self._records.done(report.activation).done if report.activation else 0
        return _status(report, done, reports[0].at, len(alive))


def _of_the_gone(last: Reported) -> Report:
    known = last.report
    return Report(
        "standing_still",
        last.at,
        f"No worker has reported since {last.at.isoformat(timespec='seconds')}Z.",
        known.model_version,
        known.activation,
        known.left,
        done=known.done,
    )


def _of_all(reports: Sequence[Report]) -> Report:
    """Return what the reports of several workers come to: one that works is enough for the work to go on."""
    for state in ("running", "standing_still", "idle"):
        of_state = [report for report in reports if report.state == state]
        if of_state:
            newest = of_state[0]
            rates = [report.rate_per_second for report in of_state if report.rate_per_second is not None]
            return Report(
                newest.state,
                min(report.since for report in of_state),
                newest.reason,
                newest.model_version,
                newest.activation,
                newest.left,
                sum(rates) if rates else None,
                newest.done,
            )
    raise AssertionError("there are reports, and each has a state")


def _status(report: Report, done: int, as_of: datetime | None, workers: int) -> RescoringStatus:
    eta, left = None, report.left_after(done)
    if report.rate_per_second and left:
        eta = now() + timedelta(seconds=left / report.rate_per_second)
    return RescoringStatus(
        state=report.state,
        workers=workers,
        model_version=report.model_version,
        done=done,
        left=left,
        rate_per_second=None if report.rate_per_second is None else round(report.rate_per_second, 1),
        eta=eta and eta.replace(microsecond=0),
        since=report.since if as_of else None,
        reason=report.reason,
        as_of=as_of,
    )
