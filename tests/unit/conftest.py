"""Unit tests touch no network, and hypothesis measures no time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from pytest_socket import disable_socket, enable_socket

from shared.metrics.folder import VARIABLE

# Time says nothing about right or wrong on a machine that others share. Half of the usual examples: every run draws
# others.
settings.register_profile("unit", deadline=None, max_examples=50)
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def _metrics_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the folder that a server's start makes: the metrics of tests are in memory."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.delenv(VARIABLE)


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
