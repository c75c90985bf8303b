"""What must go with a change so that the customer is still a possible one.

Columns depend on one another: purchases are the sum of what is bought in one go and in instalments, and there is an
amount where there are transactions and months with any. When a change touches one of them, `completed` adjusts the
others; what was changed on purpose stays. Where that cannot be, the customer comes out odd, and whoever asked sees it
by `shared.findings`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model_service.scoring.pipeline import Matrix
from shared.features import DISTANCE_NAMES

Mask = NDArray[np.bool_]

CENTS: Final = 2
SHARES: Final = 3
LEAST: Final = 1.0
"""The least amount that anything is bought for: a change to a few cents would be none."""

_PLACES = {name: place for place, name in enumerate(DISTANCE_NAMES)}


def completed(rows: Matrix, before: Matrix, towards: Matrix) -> Matrix:
    """Return changed customers with what must go with the changes.

    Parameters
    ----------
    rows : changed customers, in the features' units, NaN for missing; shape (n, n_columns).
    before : the same customers without the change, shape (n, n_columns).
    towards : where customers of the other segment lie, shape (n, n_columns); decides what kind of purchases begin.
    """
    rows, touched = rows.copy(), (rows != before) & ~np.isnan(rows)
    for step in _STEPS:
        step(_Columns(rows, before, touched, towards))
    return rows


class _Columns:
    """Columns by name, to be read and set; those that were changed on purpose are never set."""

    def __init__(self, rows: Matrix, before: Matrix, touched: Mask, towards: Matrix) -> None:
        self._rows, self._before, self._touched, self._towards = rows, before, touched, towards

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, name: str) -> Matrix:
        return self._rows[:, _PLACES[name]]

    def before(self, name: str) -> Matrix:
        return self._before[:, _PLACES[name]]

    def towards(self, name: str) -> Matrix:
        return self._towards[:, _PLACES[name]]

    def touched(self, name: str) -> Mask:
        return self._touched[:, _PLACES[name]]

    def set(self, name: str, where: Mask, values: Matrix | float) -> None:
        where = where & ~self.touched(name)
        place = _PLACES[name]
        self._rows[where, place] = np.broadcast_to(values, where.shape)[where]


PURCHASES, ONE_OFF, INSTALMENTS = "PURCHASES", "ONEOFF_PURCHASES", "INSTALLMENTS_PURCHASES"
OFTEN, OFTEN_ONE_OFF, OFTEN_INSTALMENTS = (
    "PURCHASES_FREQUENCY",
    "ONEOFF_PURCHASES_FREQUENCY",
    "PURCHASES_INSTALLMENTS_FREQUENCY",
)
TRANSACTIONS, MONTHS = "PURCHASES_TRX", "TENURE"
OWED, OWED_OFTEN = "BALANCE", "BALANCE_FREQUENCY"
CASH, CASH_OFTEN, CASH_TRANSACTIONS = "CASH_ADVANCE", "CASH_ADVANCE_FREQUENCY", "CASH_ADVANCE_TRX"


def _nothing_bought(c: _Columns) -> None:
    """Where a change says that nothing is bought, nothing of it is left."""
    for part, often in ((ONE_OFF, OFTEN_ONE_OFF), (INSTALMENTS, OFTEN_INSTALMENTS)):
        ended = (c.touched(part) & (c[part] == 0)) | (c.touched(often) & (c[often] == 0))
        c.set(part, ended & (c.before(part) > 0), 0.0)
        c.set(often, ended & (c.before(often) > 0), 0.0)
    ended = np.zeros(len(c[PURCHASES]), dtype=bool)
    for sign in (PURCHASES, TRANSACTIONS, OFTEN):
        ended |= c.touched(sign) & (c[sign] == 0)
    for name in (PURCHASES, ONE_OFF, INSTALMENTS, TRANSACTIONS, OFTEN, OFTEN_ONE_OFF, OFTEN_INSTALMENTS):
        c.set(name, ended & (c.before(name) > 0), 0.0)


def _sum_of_parts(c: _Columns) -> None:
    """Purchases are the sum of their parts, as far as they were before."""
    total, parts = c.before(PURCHASES), c.before(ONE_OFF) + c.before(INSTALMENTS)
    agreed = np.abs(total - parts) <= np.maximum(1.0, 0.01 * total)
    whole, one_off, instalments = c.touched(PURCHASES), c.touched(ONE_OFF), c.touched(INSTALMENTS)
    moved = agreed & (whole | (c[ONE_OFF] != c.before(ONE_OFF)) | (c[INSTALMENTS] != c.before(INSTALMENTS)))
    # The parts follow the total in their proportion; where there were none, what the other segment does more.
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(parts > 0, c.before(ONE_OFF) / parts, c.towards(ONE_OFF) >= c.towards(INSTALMENTS))
    follow = moved & whole & ~one_off & ~instalments
    c.set(ONE_OFF, follow, (c[PURCHASES] * share).round(CENTS))
    rest = np.maximum((c[PURCHASES] - c[ONE_OFF]).round(CENTS), 0.0)
    c.set(INSTALMENTS, moved & whole & ~instalments, rest)
    c.set(ONE_OFF, moved & whole & instalments, np.maximum((c[PURCHASES] - c[INSTALMENTS]).round(CENTS), 0.0))
    c.set(PURCHASES, moved & ~whole, (c[ONE_OFF] + c[INSTALMENTS]).round(CENTS))


def _some_bought(c: _Columns) -> None:
    """Where something is bought, there is a month and a transaction with it."""
    month = _a_month(c)
    for part, often in ((ONE_OFF, OFTEN_ONE_OFF), (INSTALMENTS, OFTEN_INSTALMENTS)):
        c.set(often, (c[part] > 0) & (c[often] == 0) & (c.before(part) == 0), month)
        c.set(often, (c[part] == 0) & (c.before(part) > 0), 0.0)
    begun = (c[PURCHASES] > 0) & (c.before(PURCHASES) == 0)
    c.set(OFTEN, begun & (c[OFTEN] == 0), month)
    c.set(TRANSACTIONS, begun & (c[TRANSACTIONS] == 0), 1.0)
    ended = (c[PURCHASES] == 0) & (c.before(PURCHASES) > 0)
    for name in (OFTEN, OFTEN_ONE_OFF, OFTEN_INSTALMENTS, TRANSACTIONS):
        c.set(name, ended, 0.0)


def _parts_of_months(c: _Columns) -> None:
    """Something is bought in at least as many months as it is bought in one go, or in instalments."""
    highest = np.maximum(c[OFTEN_ONE_OFF], c[OFTEN_INSTALMENTS])
    was_above = np.maximum(c.before(OFTEN_ONE_OFF), c.before(OFTEN_INSTALMENTS)) > c.before(OFTEN) + 1e-6
    c.set(OFTEN, (highest > c[OFTEN]) & ~was_above & ~c.touched(OFTEN), highest)
    for often in (OFTEN_ONE_OFF, OFTEN_INSTALMENTS):
        c.set(often, c.touched(OFTEN) & (c[often] > c[OFTEN]) & (c.before(often) <= c.before(OFTEN) + 1e-6), c[OFTEN])


def _owed(c: _Columns) -> None:
    """There is something owed where there are months with a balance."""
    _together(c, (OWED, OWED_OFTEN))
    c.set(OWED_OFTEN, _begun(c, OWED) & (c[OWED_OFTEN] == 0), _a_month(c))


def _cash(c: _Columns) -> None:
    """The same for cash advances, which are transactions as well."""
    _together(c, (CASH, CASH_OFTEN, CASH_TRANSACTIONS))
    begun = _begun(c, CASH)
    c.set(CASH_OFTEN, begun & (c[CASH_OFTEN] == 0), _a_month(c))
    c.set(CASH_TRANSACTIONS, begun & (c[CASH_TRANSACTIONS] == 0), 1.0)


def _together(c: _Columns, signs: tuple[str, ...]) -> None:
    """Where a change says that one of these is nothing, none of them is left."""
    ended = np.zeros(len(c[signs[0]]), dtype=bool)
    for sign in signs:
        ended |= c.touched(sign) & (c[sign] == 0)
    for name in signs:
        c.set(name, ended & (c.before(name) > 0), 0.0)


def _begun(c: _Columns, name: str) -> Mask:
    begun: Mask = (c[name] > 0) & (c.before(name) == 0)
    return begun & c.touched(name)


def _a_month(c: _Columns) -> Matrix:
    """Return one month as a share of the months of each customer."""
    months = c[MONTHS] if MONTHS in _PLACES else np.full(len(c), 12.0)
    return (1 / months).round(SHARES)


def _known(*names: str) -> bool:
    return all(name in _PLACES for name in names)


_BOUGHT = (PURCHASES, ONE_OFF, INSTALMENTS, OFTEN, OFTEN_ONE_OFF, OFTEN_INSTALMENTS, TRANSACTIONS)
_STEPS: tuple[Callable[[_Columns], None], ...] = (
    *((_nothing_bought, _sum_of_parts, _some_bought, _parts_of_months) if _known(*_BOUGHT) else ()),
    *((_owed,) if _known(OWED, OWED_OFTEN) else ()),
    *((_cash,) if _known(CASH, CASH_OFTEN, CASH_TRANSACTIONS) else ()),
)
"""In this order; without one of the columns in the data dictionary, nothing is known of the others."""
