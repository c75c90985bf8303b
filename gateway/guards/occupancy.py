"""Guards on how many threads a kind of work may hold."""

from __future__ import annotations

from contextlib import ExitStack
from functools import wraps
from typing import Any

from gateway.routes import Around, Route, View
from gateway.services.slots import Slots


def within(*bounds: Slots) -> Around:
    """Return a guard under which each request holds a slot of every bound."""

    def around(_: Route, view: View) -> View:
        @wraps(view)
        def guarded(**parts: Any) -> Any:
            with ExitStack() as held:
                for slots in bounds:
                    held.enter_context(slots.taken())
                return view(**parts)

        return guarded

    return around
