"""Preview: who moves if one version replaces another? In constant memory for any number of customers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_service.scoring.pipeline import Clusters, Matrix
from model_service.scoring.predictor import DECIMALS, Predictor
from model_service.scoring.rows import distance_matrix
from model_service.store.labels import Labels, displayed_name
from shared.contract import BORDERLINE
from shared.model_contract import Moved, Mover, Preview, PreviewSegment
from shared.typography import percent

CENTS = 2
"""Decimals of sums of money."""


class PreviewCounter:
    """Compares the segments in which two versions put the same customers.

    Segments are compared by their permanent ids: one that both versions have is the same segment, whatever its place
    among the clusters. Add customers in blocks of any size and order: the result is the same, but for the order of
    equally affected customers without ids.
    """

    def __init__(self, active: Predictor, candidate: Predictor) -> None:
        self._before = _Side(active, candidate, "retired")
        self._after = _Side(candidate, active, "new")
        self._transitions = np.zeros((len(self._before.ids), len(self._after.ids)), dtype=np.int64)
        self._balance = _Money()
        self._credit_limit = _Money()
        self._top = TopMovers()

    def add(self, columns: Mapping[str, Matrix], ids: Sequence[str | None] | None = None) -> None:
        """Count faultless customers.

        Parameters
        ----------
        columns : a float64 array of shape (n,) for every input feature, in its unit, NaN for missing.
        ids : CUST_ID of each or None, shape (n,), so that the most affected can be named.
        """
        rows = distance_matrix(columns)
        before, after = self._before.judge(rows), self._after.judge(rows)
        np.add.at(self._transitions, (before.place, after.place), 1)
        moved = self._before.ids[before.place] != self._after.ids[after.place]
        self._balance.add(columns["BALANCE"], moved)
        self._credit_limit.add(columns["CREDIT_LIMIT"], moved)
        self._top.add(
            Moves(
                ids=None if ids is None else [ids[place] for place in np.flatnonzero(moved).tolist()],
                before=self._before.ids[before.place[moved]].tolist(),
                after=self._after.ids[after.place[moved]].tolist(),
                confidence_before=before.confidence[moved],
                confidence_after=after.confidence[moved],
                balance=columns["BALANCE"][moved],
                credit_limit=columns["CREDIT_LIMIT"][moved],
            )
        )

    def result(self, as_of: str) -> Preview:
        """Return what the customers added so far say; `as_of` is a time in RFC 3339."""
        preview = Preview(
            candidate=self._after.version,
            active=self._before.version,
            rows=int(self._transitions.sum()),
            as_of=as_of,
            moved=self._moved(),
            before=self._before.segments,
            after=self._after.segments,
            transitions=self._transitions.tolist(),
            customers=self._top.movers,
        )
        preview["remarks"] = remarks(preview, self.sure)
        return preview

    @property
    def sure(self) -> int:
        """How many customers move of whom both versions are sure."""
        return self._top.sure

    def _moved(self) -> Moved:
        elsewhere = self._before.ids[:, None] != self._after.ids[None, :]
        customers = int(self._transitions[elsewhere].sum())
        return Moved(
            customers=customers,
            share=_share(customers, int(self._transitions.sum())),
            balance=round(self._balance.moved, CENTS),
            balance_share=_share(self._balance.moved, self._balance.total),
            credit_limit=round(self._credit_limit.moved, CENTS),
            credit_limit_share=_share(self._credit_limit.moved, self._credit_limit.total),
        )


def renamed(preview: Preview, labels: Labels, sure: int) -> Preview:
    """Return `preview` with the segments called as people call them now.

    Parameters
    ----------
    sure : how many customers move of whom both versions are sure.
    """

    def called(segment: PreviewSegment) -> PreviewSegment:
        label = labels.get(segment["id"])
        return {**segment, "name": (label and label["name"]) or segment["name"]}

    found = preview.copy()
    found["before"], found["after"] = (list(map(called, preview[side])) for side in ("before", "after"))
    found["remarks"] = remarks(found, sure)
    return found


class _Placed(NamedTuple):
    """Index into a side's segments of each customer, and how sure the version is; shape (n,)."""

    place: Clusters
    confidence: Matrix


class _Side:
    """One of the two versions, its segments in the manifest's order."""

    def __init__(self, predictor: Predictor, other: Predictor, alone: Literal["new", "retired"]) -> None:
        stored = predictor.manifest["segments"]
        shared = {s["id"] for s in other.manifest["segments"]}
        self.version = predictor.version
        self.segments = [
            PreviewSegment(
                id=s["id"],
                name=displayed_name(s, predictor.labels),
                status="kept" if s["id"] in shared else alone,
            )
            for s in stored
        ]
        self.ids = np.array([s["id"] for s in stored])
        self._predictor = predictor
        self._places = np.empty(len(stored), dtype=np.intp)
        self._places[[s["cluster"] for s in stored]] = np.arange(len(stored))

    def judge(self, rows: Matrix) -> _Placed:
        """Say where each of `rows`, shape (n, n_features), belongs."""
        answer = self._predictor.score_columns(rows)
        clusters = np.array(answer["cluster"], dtype=np.intp)
        return _Placed(self._places[clusters], np.array(answer["confidence"], dtype=np.float64))


class _Money:
    """A sum over all customers and over those who move, in currency units; unknown amounts are left out."""

    def __init__(self) -> None:
        self.total = 0.0
        self.moved = 0.0

    def add(self, amounts: Matrix, moved: NDArray[np.bool_]) -> None:
        self.total += float(np.nansum(amounts))
        self.moved += float(np.nansum(amounts[moved]))


def _share(part: float, whole: float) -> float:
    return round(part / whole, DECIMALS) if whole else 0.0


NAMED = 20
"""Most customers that are named."""


class Moves(NamedTuple):
    """Customers who move, by column; each has shape (n,).

    ``before`` and ``after`` are segment ids, ``credit_limit`` is NaN where it is unknown.
    """

    ids: Sequence[str | None] | None
    before: Sequence[str]
    after: Sequence[str]
    confidence_before: Matrix
    confidence_after: Matrix
    balance: Matrix
    credit_limit: Matrix


class TopMovers:
    """Keeps those most affected: first whom both versions are sure of, among them those with the largest balance.

    A borderline customer's move says little, as refitting either version might undo it.

    Attributes
    ----------
    sure : how many customers move of whom both versions are sure.
    movers : the most affected first.
    """

    def __init__(self) -> None:
        self.sure = 0
        self.movers: list[Mover] = []

    def add(self, moves: Moves) -> None:
        """Consider `moves`."""
        unsure = np.minimum(moves.confidence_before, moves.confidence_after) < BORDERLINE
        self.sure += int(np.count_nonzero(~unsure))
        found = [_mover(moves, place) for place in _first(unsure, moves.balance).tolist()]
        self.movers = sorted([*self.movers, *found], key=_rank)[:NAMED]


def _first(unsure: NDArray[np.bool_], balance: Matrix) -> NDArray[np.intp]:
    """Return the places that can be among the first `NAMED`, with all that equal the last of them."""
    if len(balance) <= NAMED:
        return np.arange(len(balance))
    last = np.lexsort((-balance, unsure))[NAMED - 1]
    return np.flatnonzero((unsure < unsure[last]) | ((unsure == unsure[last]) & (balance >= balance[last])))


def _mover(moves: Moves, place: int) -> Mover:
    limit = float(moves.credit_limit[place])
    return Mover(
        CUST_ID=moves.ids[place] if moves.ids is not None else None,
        before=moves.before[place],
        after=moves.after[place],
        confidence_before=float(moves.confidence_before[place]),
        confidence_after=float(moves.confidence_after[place]),
        balance=float(moves.balance[place]),
        credit_limit=None if np.isnan(limit) else limit,
    )


def _rank(mover: Mover) -> tuple[bool, float, str]:
    unsure = min(mover["confidence_before"], mover["confidence_after"]) < BORDERLINE
    return unsure, -mover["balance"], mover["CUST_ID"] or ""


LEAVING = 0.1
"""Share of a kept segment's customers that may leave it without a remark."""
FLOW = 0.1
"""Least share of a segment's customers for which the remarks say where they go, or where they come from."""


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
        f"{moved['customers']:,} of {preview['rows']:,} customers move ({percent(moved['share'])}), with "
        f"{percent(moved['balance_share'])} of all balances and {percent(moved['credit_limit_share'])} of all known "
        "limits."
    )
    of = f"{sure:,}" if sure else "none"
    yield f"Of those who move, both versions are sure (confidence {BORDERLINE} or more) of {of}."


def _leaving(segment: PreviewSegment, counts: Sequence[int], after: Sequence[PreviewSegment]) -> Iterator[str]:
    total = sum(counts)
    if segment["status"] == "retired":
        yield f"{_title(segment)} is retired; {_shares(counts, total, 'go to', after)}."
        return
    others = [0 if other["id"] == segment["id"] else count for count, other in zip(counts, after, strict=True)]
    if sum(others) > LEAVING * total:
        yield f"{_title(segment)} loses {percent(sum(others) / total)}; {_shares(others, total, 'go to', after)}."


def _coming(segment: PreviewSegment, counts: Sequence[int], before: Sequence[PreviewSegment]) -> Iterator[str]:
    if segment["status"] == "new":
        yield f"{_title(segment)} is new; {_shares(counts, sum(counts), 'come from', before)}."


def _shares(counts: Sequence[int], total: int, way: str, segments: Sequence[PreviewSegment]) -> str:
    """Name the segments to or from which `FLOW` of `total` customers or more move, and the largest of them anyway."""
    if not total:
        return "it has no customers here"
    order = sorted(range(len(counts)), key=lambda place: -counts[place])
    named = [place for place in order if counts[place] >= FLOW * total] or order[:1]
    shares = ", ".join(f"{percent(counts[place] / total)} {way} {segments[place]['id']}" for place in named)
    return f"of its {total:,} customers, {shares}"


def _title(segment: PreviewSegment) -> str:
    return f"{segment['id']} ({segment['name']})"
