"""Which bound a request is under, and for how long it holds a place (`services.access.concurrency`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any
from weakref import finalize

from flask import Response, g, request

from gateway.controllers.http import has_body, query, read_body
from gateway.middleware.rate_limit import address
from gateway.routes import Around, Route, View, Work
from gateway.schemas.events import WAIT
from gateway.schemas.queries import EXPLAIN
from gateway.services.access.concurrency import ConcurrencyLimit, ConcurrencyLimits

_WITH_BODY = ("POST", "PUT", "PATCH")


def limits_by_work(limits: ConcurrencyLimits) -> Mapping[Work, ConcurrencyLimit]:
    """Return the bound on each kind of work that has one."""
    return {
        Work.PAGE: limits.pages,
        Work.QUICK: limits.records,
        Work.MANY: limits.many,
        Work.MODEL: limits.model,
        Work.BOTH: limits.both,
        Work.EXPORT: limits.exports,
        Work.BULK: limits.imports,
        Work.LONG: limits.analyses,
        Work.WAIT: limits.readers,
    }


_OTHER_WORK = ((Work.QUICK, EXPLAIN, Work.BOTH), (Work.MANY, WAIT, Work.WAIT))
"""What kind of work a request is that has a parameter, where it is of another kind without."""


def concurrency_limited(limits: Mapping[Work, ConcurrencyLimit]) -> Around:
    """Return a guard under which each request holds a place of its kind, until the last byte of a stream is sent.

    A body is received before, so that whoever is refused hears so after having sent it. Not so files, which are worked
    on while they come in.
    """

    def around(route: Route, view: View) -> View:
        usual = limits[route.work]
        others = [
            (parameter.name, limits[other])
            for work, parameter, other in _OTHER_WORK
            if work is route.work and parameter in route.parameters
        ]
        receives = route.method in _WITH_BODY and not route.repeats.upload

        @wraps(view)
        def guarded(**parts: Any) -> Any:
            # One of another type will be refused unread.
            if receives and has_body() and request.mimetype.endswith("json"):
                read_body()
            limit = next((other for name, other in others if query().get(name)), usual) if others else usual
            caller = address() if route.scope is None else g.principal.identity
            limit.take(caller)
            held = True
            try:
                answer = view(**parts)
                if isinstance(answer, Response) and (answer.is_streamed or _sends_itself()):
                    # Also if a server forgets to close the answer, or another one is sent in its place.
                    answer.call_on_close(finalize(answer, limit.give_back, caller))
                    held = False
            finally:
                if held:
                    limit.give_back(caller)
            return answer

        return guarded

    return around


def _sends_itself() -> bool:
    """Whether the thread that makes an answer also waits until the client has taken it: gunicorn's does."""
    return "gunicorn.socket" in request.environ
