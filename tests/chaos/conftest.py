"""Faults done to a running system (``make chaos``). Each case proves what must hold, and adds a line to the table."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from support.under_fire import Row

collect_ignore_glob = [] if "CHAOS" in os.environ else ["test_*.py"]

_rows: list[Row] = []


@pytest.fixture
def table() -> Callable[[Row], None]:
    """Takes the line of a case."""
    return _rows.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table as docs/operations.md has it."""
    if not _rows:
        return
    terminalreporter.section("chaos")
    heads = ("case", "what was done", "what clients saw meanwhile", "longest gap", "lost", "recovered after")
    for cells in (heads, ("---",) * len(heads), *_rows):
        terminalreporter.write_line(f"| {' | '.join(cells)} |")
