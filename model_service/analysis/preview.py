"""Preview: who moves if one version replaces another? In constant memory for any number of customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_service.analysis.movers import Moves, TopMovers
from model_service.analysis.preview_remarks import remarks
from model_service.labels import displayed_name
from model_service.pipeline import Labels, Matrix
from model_service.predictor import DECIMALS, Predictor
from model_service.rows import distance_matrix
from shared.model_contract import Moved, Preview, PreviewSegment

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
        preview["remarks"] = remarks(preview, self._top.sure)
        return preview

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


class _Placed(NamedTuple):
    """Index into a side's segments of each customer, and how sure the version is; shape (n,)."""

    place: Labels
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
