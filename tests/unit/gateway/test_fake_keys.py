"""The fakes of the `KeyStore` and the `OneTimeTokenStore` obey the contracts of their ports."""

from __future__ import annotations

import pytest
from contracts.api_keys import KeyStoreContract
from contracts.ended_sessions import EndedSessionsContract
from contracts.one_time_tokens import OneTimeTokensContract
from fakes.api_keys import InMemoryKeyStore
from fakes.ended_sessions import InMemoryEndedSessions
from fakes.one_time_tokens import InMemoryOneTimeTokens


class TestInMemoryKeyStore(KeyStoreContract):
    @pytest.fixture
    def keys(self) -> InMemoryKeyStore:
        return InMemoryKeyStore(with_administrator=False)


class TestInMemoryOneTimeTokens(OneTimeTokensContract):
    @pytest.fixture
    def tokens(self) -> InMemoryOneTimeTokens:
        return InMemoryOneTimeTokens()


class TestInMemoryEndedSessions(EndedSessionsContract):
    @pytest.fixture
    def ended(self) -> InMemoryEndedSessions:
        return InMemoryEndedSessions()
