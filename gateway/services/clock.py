"""The time, as it is stored; on its own, because every module may need it and it needs none of them."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1)


def now() -> datetime:
    """Return the time in UTC, without a zone and to the millisecond, as it comes back from MongoDB.

    Zone-aware times would make reading a page of customers from the driver a third dearer.
    """
    return _EPOCH + timedelta(milliseconds=time.time_ns() // 1_000_000)


def later_than(moment: datetime) -> datetime:
    """Return the time, or what follows `moment` where that has not passed yet.

    So that ``updated_at`` tells which of two states of a customer is the later one, whatever a clock does.
    """
    return max(now(), moment + timedelta(milliseconds=1))
