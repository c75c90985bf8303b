"""The customers whom a change of version affects most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_service.pipeline import Matrix
from shared.contract import BORDERLINE
from shared.model_contract import Mover

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
