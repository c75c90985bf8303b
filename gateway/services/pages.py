"""A page of a list: one type for all lists, because they differ only in what a place in their order is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Place = TypeVar("Place")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item, Place]):
    """Some entries of a list, in its order.

    Attributes
    ----------
    end : the place of the last entry, where others follow; None on the last page.
    """

    items: list[Item]
    end: Place | None

    @classmethod
    def of(
        cls,
        found: Sequence[Any],
        limit: int,
        place: Callable[[Any], Place],
        shown: Callable[[Any], Item] = lambda entry: entry,
    ) -> Page[Item, Place]:
        """Return the page of up to `limit` entries; `found` has one more where others follow."""
        return cls([shown(entry) for entry in found[:limit]], place(found[limit - 1]) if len(found) > limit else None)
