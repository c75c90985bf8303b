"""What a preview means, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.contract import BORDERLINE
from shared.model_contract import Preview, PreviewSegment

LEAVING = 0.1
"""Share of a kept segment's customers that may leave it without a remark."""
FLOW = 0.1
"""Least share of a segment's customers for which it is told where they go, or where they come from."""


def remarks(preview: Preview, sure: int) -> list[str]:
    """Say who moves where, of all customers and of each segment that is dissolved, new or loses many.

    Parameters
    ----------
    sure : how many customers move of whom both versions are sure.
    """
    rows = preview["transitions"]
    columns = [[row[place] for row in rows] for place in range(len(preview["after"]))]
    said = list(_overall(preview, sure))
    for segment, counts in zip(preview["before"], rows, strict=True):
        said += _leaving(segment, counts, preview["after"])
    for segment, counts in zip(preview["after"], columns, strict=True):
        said += _coming(segment, counts, preview["before"])
    return said


def _overall(preview: Preview, sure: int) -> Iterator[str]:
    moved = preview["moved"]
    if preview["candidate"] == preview["active"]:
        yield "The candidate is the active version: nobody moves."
        return
    if not moved["customers"]:
        yield f"None of the {preview['rows']:,} customers moves."
        return
    yield (
        f"{moved['customers']:,} of {preview['rows']:,} customers move ({moved['share']:.1%}), with "
        f"{moved['balance_share']:.1%} of all balances and {moved['credit_limit_share']:.1%} of all known limits."
    )
    of = f"{sure:,}" if sure else "none"
    yield f"Both versions are sure (confidence {BORDERLINE} or more) of {of} of those who move."


def _leaving(segment: PreviewSegment, counts: Sequence[int], after: Sequence[PreviewSegment]) -> Iterator[str]:
    total = sum(counts)
    if segment["status"] == "retired":
        yield f"{_title(segment)} is dissolved; {_shares(counts, total, 'go to', after)}."
        return
    others = [0 if other["id"] == segment["id"] else count for count, other in zip(counts, after, strict=True)]
    if sum(others) > LEAVING * total:
        yield f"{_title(segment)} loses {sum(others) / total:.1%}; {_shares(others, total, 'go to', after)}."


def _coming(segment: PreviewSegment, counts: Sequence[int], before: Sequence[PreviewSegment]) -> Iterator[str]:
    if segment["status"] == "new":
        yield f"{_title(segment)} is new; {_shares(counts, sum(counts), 'come from', before)}."


def _shares(counts: Sequence[int], total: int, way: str, segments: Sequence[PreviewSegment]) -> str:
    """Name the segments to or from which `FLOW` of `total` customers or more move, and the largest of them anyway."""
    if not total:
        return "it has no customers here"
    order = sorted(range(len(counts)), key=lambda place: -counts[place])
    told = [place for place in order if counts[place] >= FLOW * total] or order[:1]
    shares = ", ".join(f"{counts[place] / total:.1%} {way} {segments[place]['id']}" for place in told)
    return f"of its {total:,} customers {shares}"


def _title(segment: PreviewSegment) -> str:
    return f"{segment['id']} ({segment['name']})"
