"""What is kept about erasures, and what every place that may hold something about customers does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


class Erasable(Protocol):
    """A place that may hold something about customers."""

    @property
    def name(self) -> str:
        """What a receipt calls the place: lower case letters and underscores."""

    def erase(self, cust_id: str) -> int:
        """Remove, or make anonymous, all that the place holds about a customer; return how many entries that were.

        Harmless when repeated: an erasure that was interrupted is done again. May raise any `SegmentationError`; the
        erasure is incomplete then, and the worker tries again.
        """


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure as it is kept.

    Attributes
    ----------
    id : its own id, which says nothing about the customer.
    digest : keyed hash of the CUST_ID.
    cust_id : None once the erasure is complete.
    created_until : customers of this id that were created later are new ones and not concerned.
    erased : how many entries were removed, by place; a place that is not among them is still to be done.
    """

    id: str
    digest: str
    cust_id: str | None
    requested_at: datetime
    created_until: datetime
    completed_at: datetime | None = None
    erased: Mapping[str, int] = field(default_factory=dict)


class ErasureRecords(Protocol):
    """Erasures, kept durably and for good. Every method may raise `StoreError`."""

    def add(self, erasure: Erasure) -> None:
        """Write down what is about to be erased."""

    def withdraw(self, erasure_id: str) -> None:
        """Remove an erasure that was not carried out."""

    def note(self, erasure_id: str, place: str, entries: int) -> None:
        """Write down that a place is done, adding to the entries that were removed from it before."""

    def complete(self, erasure_id: str, at: datetime) -> None:
        """Write down that all is done, and forget the CUST_ID."""

    def get(self, erasure_id: str) -> Erasure | None:
        """Return one erasure, or None."""

    def of(self, digest: str, limit: int) -> list[Erasure]:
        """Return up to `limit` erasures of one CUST_ID, newest first."""

    def unfinished(self, requested_until: datetime, after: str | None, limit: int) -> list[Erasure]:
        """Return erasures requested until then that are not complete, in the order of their ids, after one of them."""
