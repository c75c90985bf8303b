"""The port of transactions, on its own because what happens in one concerns several stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Transactions(Protocol):
    """Lets what is written to several stores take effect together or not at all."""

    def run(self, work: Callable[[], Result]) -> Result:
        """Call `work`; once it returns, all that it wrote takes effect, durably, and its result is returned.

        What it reads is the state at one moment, and others have changed nothing of what it writes since then: where
        they have, `work` is called again, so it must not change anything but the stores. If it raises an error,
        nothing of it has taken effect. Only methods of stores that say so take part.

        Raises
        ------
        StoreUnavailable
            also where others keep changing the same until the time is up; otherwise it may have taken effect.
        StoreError
        """
