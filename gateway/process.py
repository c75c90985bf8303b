"""How a process of the gateway runs."""

from __future__ import annotations

import gc

_COLLECT_AFTER = (50_000, 10, 10)
"""New containers after which Python looks for cycles among them. After the usual 700 it would look through the rows of
an import, tens of thousands of dicts that are all still in use, again and again: a fifth of the import's CPU."""


def collect_seldom() -> None:
    """Let Python look for reference cycles less often; what has none is freed at once as ever."""
    gc.set_threshold(*_COLLECT_AFTER)
