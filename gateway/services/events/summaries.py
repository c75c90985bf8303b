"""What has changed lately, in a few lines: how many entries there are of customers, and the digests of all else.

Nothing is added up that could be many: the numbers come from an index and stop at `MOST`, and there are few digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict

from gateway.services.clock import now
from gateway.services.errors import InvalidInput
from gateway.services.events.change import ALREADY_ACTIVE, ChangeType, Logged
from gateway.services.events.feed import EventSubject, EventType, data_of
from gateway.services.events.log import AuditFilters, ChangeLog
from shared.problems import FieldError

PERIOD: Final = timedelta(days=7)
"""How far back it goes unless somebody says."""
MOST: Final = 10_000
"""Where counting stops."""
MOST_LISTED: Final = 20
"""Digests of each type that are listed."""

_COUNTED: Final[tuple[ChangeType, ...]] = (
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "customer.restored",
    "customer.erased",
)
_LISTED: Final[tuple[EventType, ...]] = (
    "import.completed",
    "assignments.recomputed",
    "model.activated",
    "model.rolled_back",
    "segment.relabelled",
)


class Happening(TypedDict):
    """Something that is told once, however many customers it is about; see `Event` for what its ``data`` have."""

    id: str
    type: EventType
    at: datetime
    subject: EventSubject
    data: Mapping[str, Any]


class ChangeSummary(TypedDict):
    """What has changed between ``since`` and ``as_of``; ``since`` is no earlier than the log goes back.

    ``counts`` are the entries in the change log by type; 10,000 stands for as many or more. An import
    has entries only for customers whom it moved to another segment (``customer.updated``); whom it created or changed
    otherwise its digest counts. ``items`` are digests of imports and re-scorings, activations and new names of
    segments, newest first, up to 20 of each.
    """

    since: datetime
    as_of: datetime
    counts: dict[str, int]
    items: list[Happening]


class ChangeSummaryService:
    """Says what has changed since a time."""

    def __init__(self, log: ChangeLog) -> None:
        self._log = log

    def since(self, since: datetime | None = None) -> ChangeSummary:
        """Return what has changed since then, or in the last week.

        Raises
        ------
        InvalidInput
            if that is yet to come.
        StoreError
        """
        at = now()
        if since is not None and since > at:
            raise InvalidInput([FieldError(pointer="?since", detail="must not be in the future")])
        since = max(since or at - PERIOD, self._log.memory().since)
        first = self._log.position_at(since)
        found = [entry for kind in _LISTED for entry in self._digests(kind, first)]
        return ChangeSummary(
            since=since,
            as_of=at,
            counts={kind: self._log.count(kind, first, MOST) for kind in _COUNTED},
            items=[_shown(entry) for entry in sorted(found, key=lambda entry: -entry["position"])],
        )

    def _digests(self, kind: EventType, first: int) -> list[Logged]:
        newest = self._log.newest_first(AuditFilters(action=kind), None, MOST_LISTED)
        told = [entry for entry in newest if entry["position"] >= first]
        return [entry for entry in told if entry.get("data", {}).get("outcome") != ALREADY_ACTIVE["outcome"]]


def _shown(entry: Logged) -> Happening:
    return Happening(
        id=str(2 * entry["position"]),
        type=entry["type"],  # type: ignore[typeddict-item]  # one of `_LISTED`
        at=entry["at"],
        subject=EventSubject(type=entry["subject"]["type"], id=entry["subject"]["id"]),
        data=data_of(entry),
    )
