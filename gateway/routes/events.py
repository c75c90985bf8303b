"""The feed of events; a module of its own, because every resource has one of its name in each layer."""

from __future__ import annotations

from gateway.controllers.events import EventController, EventPage
from gateway.routes import Resource, Route, Work
from gateway.routes.operation import STORE, Answer, Link, Operation
from gateway.schemas.events import EVENTS, SUMMARY
from gateway.services.events.summaries import ChangeSummary
from gateway.services.principal import Scope

_LIST_EVENTS = Operation(
    "listEvents",
    "Follow what happens",
    "Events in the order in which they happened, each within a second or so. Keep `next_cursor` and ask for what "
    "follows it: who does so meets every event exactly once, and nothing ever appears behind a cursor. With `wait`, an "
    "answer without events comes only when the time is up. Events are kept as long as the audit trail: after a longer "
    "pause the answer is 410 `cursor_expired`, with the `earliest` cursor that holds; read the customers anew then. A "
    "change of a customer that moves it to another segment is two events: what was done (`customer.updated`), and "
    "`customer.segment_changed`. Customers who are imported or scored anew and stay in their segment are summarised "
    "in one event (`import.completed`, `assignments.recomputed`), with the address of their list.",
    {
        200: Answer(
            "The events", EventPage, links={"next": Link("listEvents", {"after": "$response.body#/next_cursor"})}
        )
    },
    problems=("cursor_expired", "too_many_readers", *STORE),
)

_GET_EVENT_SUMMARY = Operation(
    "getEventSummary",
    "See what has changed lately",
    "How many entries there are about customers, and the digests of imports, re-scorings, activations and new names of "
    "segments: for a page or a weekly mail. Who moved between segments is in `GET /segments/transitions`, how the "
    "sizes went in `GET /segments/sizes`.",
    {200: Answer("What has changed", ChangeSummary)},
    problems=STORE,
)


def events(controller: EventController) -> Resource:
    """Return the routes of the feed, and of what it comes to."""
    return Resource(
        "Events",
        "What has happened, in order, for systems that follow it.",
        (
            Route("GET", "/events", controller.list, Scope.EVENTS_READ, _LIST_EVENTS, EVENTS, Work.MANY),
            Route(
                "GET", "/events/summary", controller.summary, Scope.MODELS_READ, _GET_EVENT_SUMMARY, SUMMARY, Work.MANY
            ),
        ),
    )
