"""What every `OneTimeTokenStore` does; give a subclass the fixture `tokens`, empty."""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.services.access.one_time_tokens import OneTimeTokenStore

AT = datetime(2036, 6, 1, 12, 0, 0, 123000)  # to come: MongoDB itself removes what is over
UNTIL = AT + timedelta(minutes=10)


class OneTimeTokensContract:
    def test_a_token_is_taken_once(self, tokens: OneTimeTokenStore) -> None:
        tokens.keep(b"a", "key 1", UNTIL)
        tokens.keep(b"b", "key 2", UNTIL)
        assert tokens.take(b"a", AT) == "key 1"
        assert tokens.take(b"a", AT) is None
        assert tokens.take(b"b", AT) == "key 2"

    def test_nobody_takes_an_unknown_one(self, tokens: OneTimeTokenStore) -> None:
        assert tokens.take(b"a", AT) is None

    def test_one_is_too_old_when_its_time_is_up(self, tokens: OneTimeTokenStore) -> None:
        tokens.keep(b"a", "key", UNTIL)
        assert tokens.take(b"a", UNTIL) is None
        assert tokens.take(b"a", UNTIL - timedelta(milliseconds=1)) == "key"
