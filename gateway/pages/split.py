"""How all counted customers split: into the model's segments, those that are gone, and those without one.

An activation can leave customers in segments that the model does not have any more, until they have been scored anew.
They are customers all the same: what is summed up here is what was counted, whoever is in which segment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.pages.size_history import Former
from gateway.services.models.segment_snapshots import Snapshot, Tally


@dataclass(frozen=True, slots=True)
class Part:
    """The customers of a segment, or those without one, whose `id` is ""; `share` is that of all counted customers.

    Attributes
    ----------
    bought, owed : what they bought in 12 months, and owe on average, all together.
    share_bought : their share of all purchases.
    gone : whether the model does not have that segment any more.
    """

    id: str
    name: str
    gone: bool
    size: int
    share: float
    bought: float
    share_bought: float
    owed: float


@dataclass(frozen=True, slots=True)
class Split:
    """All counted customers: what they buy and owe, and their parts, the largest first, those without a segment last.

    `segments` counts those of the model.
    """

    parts: list[Part]
    segments: int
    bought: float
    owed: float


def split_of(snapshot: Snapshot, names: Mapping[str, str], former: Former) -> Split:
    """Return how the customers of a snapshot split.

    Parameters
    ----------
    names : what the model's segments are called, by id.
    former : says what those are called that are gone.

    Raises
    ------
    StoreError
    """
    gone = former(set(snapshot.segments()) - names.keys())
    tallies = {each: snapshot.of_segment(each) for each in (*names, *gone)}
    pending = snapshot.of_segment(None)
    everybody = sum(tallies.values(), pending)
    bought = _total(everybody, "PURCHASES")

    def part(segment: str, name: str, tally: Tally) -> Part:
        return Part(
            id=segment,
            name=name,
            gone=segment in gone,
            size=tally.size,
            share=tally.size / everybody.size if everybody.size else 0.0,
            bought=_total(tally, "PURCHASES"),
            share_bought=_total(tally, "PURCHASES") / bought if bought else 0.0,
            owed=_total(tally, "BALANCE"),
        )

    parts = [part(each, {**names, **gone}[each], tally) for each, tally in tallies.items()]
    parts.sort(key=lambda each: -each.size)
    if pending.size:
        parts.append(part("", "Without a segment yet", pending))
    return Split(parts, len(names), bought, _total(everybody, "BALANCE"))


def _total(tally: Tally, figure: str) -> float:
    return tally.amounts[figure].total
