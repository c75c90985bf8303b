"""A span for each operation of MongoDB, where traces are on: by name and collection, without what was asked."""

from __future__ import annotations

from contextlib import AbstractContextManager

from pymongo import monitoring

from shared.telemetry import traces


class MongoSpans(monitoring.CommandListener):
    """Hears of the driver's commands, which begin and end in the thread that waits for them.

    What does not go by the driver it does not hear of: where traces are on, everything has to.
    """

    def __init__(self) -> None:
        self._going_on: dict[int, tuple[AbstractContextManager[traces.Span], traces.Span]] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        of = event.command.get(event.command_name)
        collection = of if isinstance(of, str) else event.command.get("collection", "")
        going_on = traces.span(
            f"{event.command_name} {collection}".rstrip(),
            "client",
            db__system__name="mongodb",
            db__namespace=event.database_name,
            db__operation__name=event.command_name,
            **({"db__collection__name": collection} if collection else {}),
        )
        self._going_on[event.request_id] = going_on, going_on.__enter__()

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self._end(event.request_id, failed=False)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self._end(event.request_id, failed=True)

    def _end(self, request_id: int, *, failed: bool) -> None:
        going_on, span = self._going_on.pop(request_id)
        if failed:
            span.fail()
        going_on.__exit__(None, None, None)
