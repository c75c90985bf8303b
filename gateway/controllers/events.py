"""The feed of events as a resource; a module of its own, because every resource has one of its name in each layer."""

from __future__ import annotations

from typing import TypedDict

from flask import Response

from gateway.controllers.http import json_response, query
from gateway.schemas.events import NOW
from gateway.services.events.feed import Event, FeedService
from gateway.services.events.summaries import ChangeSummaryService


class EventPage(TypedDict):
    """Events in the order in which they happened.

    Attributes
    ----------
    next_cursor : what to ask for next (`after`), whether there are events or not.
    more : whether others may be there already; otherwise it is time to wait.
    """

    items: list[Event]
    next_cursor: str
    more: bool


class EventController:
    """Tell what has happened."""

    def __init__(self, feed: FeedService, summaries: ChangeSummaryService) -> None:
        self._feed = feed
        self._summaries = summaries

    def list(self) -> Response:
        """GET /events."""
        values = query()
        after = values.get("after")
        number = self._feed.earliest() if after is None else self._feed.now() if after == NOW else after
        found = self._feed.after(number, values.get("type"), values["limit"], values["wait"])
        return json_response(EventPage(items=found.items, next_cursor=str(found.end), more=found.more))

    def summary(self) -> Response:
        """GET /events/summary."""
        return json_response(self._summaries.since(query().get("since")))
