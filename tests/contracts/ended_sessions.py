"""What every `EndedSessionStore` does; give a subclass the fixture `ended`, empty."""

from __future__ import annotations

from datetime import datetime

from gateway.services.access.ended_sessions import EndedSessionStore

UNTIL = datetime(2036, 6, 1, 12)  # to come: MongoDB itself removes what is over


class EndedSessionsContract:
    def test_a_session_has_ended_once_somebody_has_ended_it_and_no_other_has(self, ended: EndedSessionStore) -> None:
        assert not ended.has_ended("a")
        for _ in range(2):
            ended.end("a", UNTIL)
        assert (ended.has_ended("a"), ended.has_ended("b")) == (True, False)
