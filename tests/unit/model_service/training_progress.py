"""A progress that remembers what it was told."""

from __future__ import annotations


class Watched:
    """Counts ticks and keeps the phases."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.ticks = 0

    def phase(self, name: str) -> None:
        self.phases.append(name)

    def tick(self) -> None:
        self.ticks += 1
