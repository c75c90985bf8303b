"""How it was at an earlier time: in which segment a customer was, who was in a segment, how large the segments were.

What is stored says since when each customer has been in its segment, and every change of a segment in the log says
since when the customer had been in the one before: together they give the segment of every customer at every moment
that the log remembers. Features are only known as they are now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, Protocol, TypedDict

from gateway.services.clock import now
from gateway.services.customers.customer import ASSIGNED, PENDING, CustomerPart
from gateway.services.customers.query import MEMBERS
from gateway.services.customers.segment import CustomerSegment, NamedSegment
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import BeforeMemory, CustomerNotFound, InvalidInput
from gateway.services.events.change import ChangeType, Logged
from gateway.services.events.log import AuditFilters, ChangeLog
from gateway.services.models.descriptions import Description, names_in
from gateway.services.pages import Page
from shared.contract import BORDERLINE
from shared.features import CUST_ID
from shared.problems import FieldError

_ACTIVATIONS: Final[tuple[ChangeType, ...]] = ("model.activated", "model.rolled_back")
_MANY: Final = 1_000
"""Most activations that are looked through for the first one after a time."""
_INSTANT: Final = timedelta(milliseconds=1)


class PastAssignment(NamedTuple):
    """The assignment that a customer had at a time, as far as it has not been scored anew since."""

    confidence: float
    rival: str | None
    model_version: str
    assigned_at: datetime


class Past(NamedTuple):
    """Where a customer was at a time.

    Attributes
    ----------
    segment : None while it was pending.
    since : since when it had been in the segment.
    assignment : None where it is not known any more.
    """

    segment: str | None
    since: datetime | None = None
    assignment: PastAssignment | None = None


class PastSegments(Protocol):
    """What is stored and what the log says, taken together as of one moment. Methods may raise `StoreError`.

    Changes that wait in outboxes count. A time is one that the log remembers.
    """

    def of_customer(self, cust_id: str, at: datetime) -> Past | None:
        """Return where a customer was, or None if it was not stored then, or has been erased since."""

    def members(self, segment_id: str, at: datetime, after: str | None, limit: int) -> list[str]:
        """Return up to `limit` CUST_IDs greater than `after`, in order, of who was in the segment.

        Those who have been deleted since are among them, erased ones are not. Fewer than the limit are the last ones.
        May raise `QueryTimeout`.
        """

    def sizes(self, at: datetime) -> Mapping[str, int]:
        """Return how many customers were in each segment, with those who have been erased since.

        May raise `QueryTimeout`.
        """


class SegmentThen(TypedDict):
    """How many customers were in a segment; ``share`` (0-1) is among those who had one.

    ``name`` is that of now; null if the active model does not have the segment, or is unavailable just now.
    """

    id: str
    name: str | None
    size: int
    share: float


class SegmentsThen(TypedDict):
    """The segments ``as_of`` a time; ``assigned`` customers had one. ``model_version`` was the active one then."""

    items: list[SegmentThen]
    model_version: str | None
    assigned: int
    as_of: datetime


class CustomerSegmentThen(CustomerSegment):
    """The segment a customer had ``as_of`` a time.

    ``confidence``, ``borderline``, ``rival`` and ``assigned_at`` are null where the customer has been scored anew
    since; ``model_version`` is then the version that was active. Names are those of now, and so are the customer's
    features (``features_as_of``), wherever they are shown.
    """

    as_of: datetime
    features_as_of: Literal["now"]


class AsOfService:
    """Answers how it was.

    Parameters
    ----------
    describe : returns the active model's description, None while the model service is unavailable.
    """

    def __init__(
        self,
        past: PastSegments,
        log: ChangeLog,
        customers: CustomerStore,
        describe: Callable[[], Description | None],
    ) -> None:
        self._past = past
        self._log = log
        self._customers = customers
        self._describe = describe

    def segment(self, cust_id: str, at: datetime) -> CustomerSegmentThen:
        """Return the segment that a customer had.

        Raises
        ------
        CustomerNotFound
            it was not stored then, or has been erased since.
        InvalidInput, BeforeMemory, StoreError
        """
        self._check(at)
        past = self._past.of_customer(cust_id, at)
        if past is None:
            raise CustomerNotFound(cust_id, at)
        model, known = self._describe(), past.assignment
        names, version = names_in(model), known.model_version if known else None
        return CustomerSegmentThen(
            CUST_ID=cust_id,
            segment=_named(past.segment, names),
            confidence=known.confidence if known else None,
            borderline=known.confidence < BORDERLINE if known else None,
            rival=_named(known.rival, names) if known else None,
            model_version=version if known or not past.segment else self._active(at, model),
            assigned_at=known.assigned_at if known else None,
            segment_status=ASSIGNED if past.segment else PENDING,
            since=past.since,
            as_of=at,
            features_as_of="now",
        )

    def members(
        self, segment_id: str, at: datetime, after: str | None, limit: int, fields: tuple[str, ...] | None
    ) -> Page[CustomerPart, str]:
        """Return up to `limit` of the customers who were in a segment, as they are now, in CUST_ID order.

        Of one that has been deleted since, the id alone.

        Raises
        ------
        InvalidInput, BeforeMemory, QueryTimeout, StoreError
        """
        self._check(at)
        found = self._past.members(segment_id, at, after, limit + 1)
        stored = self._customers.get_many(found[:limit]) if found else {}
        page: Page[str, str] = Page.of(found, limit, str)
        shown = {CUST_ID, *(MEMBERS if fields is None else fields)}
        items: list[CustomerPart] = [
            {name: value for name, value in stored.get(cust_id, {CUST_ID: cust_id}).items() if name in shown}
            for cust_id in page.items
        ]
        return Page(items, page.end)

    def sizes(self, at: datetime) -> SegmentsThen:
        """Return how large the segments were.

        Raises
        ------
        InvalidInput, BeforeMemory, QueryTimeout, StoreError
        """
        self._check(at)
        sizes, model = self._past.sizes(at), self._describe()
        names, assigned = names_in(model), sum(sizes.values())
        items = [
            SegmentThen(id=segment, name=names.get(segment), size=size, share=size / assigned)
            for segment, size in sorted(sizes.items())
        ]
        version = self._active(at, model)
        return SegmentsThen(items=items, model_version=version, assigned=assigned, as_of=at)

    def _check(self, at: datetime) -> None:
        """Refuse a time that has not come, or of which the log does not know."""
        if at > now():
            raise InvalidInput([FieldError(pointer="?as_of", detail="must not be in the future")])
        since = self._log.memory().since
        if at < since:
            raise BeforeMemory(since)

    def _active(self, at: datetime, model: Description | None) -> str | None:
        """Return the version that was active, as the log has it; the `model` of now where there was no activation."""
        earlier = self._activations(AuditFilters(until=at + _INSTANT), 1)
        if earlier:
            return earlier[-1]["after"]
        later = self._activations(AuditFilters(since=at + _INSTANT), _MANY)
        if later:
            return later[0]["before"]
        return model.version if model else None

    def _activations(self, made: AuditFilters, limit: int) -> list[Logged]:
        """Return the latest activations and rollbacks that were made then, in the order of time."""
        found = [e for kind in _ACTIVATIONS for e in self._log.newest_first(made._replace(action=kind), None, limit)]
        return sorted(found, key=lambda entry: (entry["at"], entry["position"]))


def _named(segment_id: str | None, names: Mapping[str, str]) -> NamedSegment | None:
    return NamedSegment(id=segment_id, name=names.get(segment_id)) if segment_id else None
