"""Limits on how many threads a kind of work may hold; short, because `services.access.concurrency` does the work."""

from __future__ import annotations

from contextlib import ExitStack
from functools import wraps
from typing import Any

from flask import Response

from gateway.routes import Around, Route, View
from gateway.services.access.concurrency import ConcurrencyLimit


def concurrency_limited(*limits: ConcurrencyLimit) -> Around:
    """Return a guard under which each request holds a slot of every bound, until the last byte of a stream is sent."""

    def around(_: Route, view: View) -> View:
        @wraps(view)
        def guarded(**parts: Any) -> Any:
            with ExitStack() as held:
                for limit in limits:
                    held.enter_context(limit.held())
                answer = view(**parts)
                if isinstance(answer, Response) and answer.is_streamed:
                    answer.call_on_close(held.pop_all().close)
                return answer

        return guarded

    return around
