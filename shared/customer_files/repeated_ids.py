"""Finding ids that a file has twice, at any distance, in a few bytes a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Run = tuple[NDArray[np.int64], NDArray[np.uint32]]
"""Hashes in ascending order, and the lines of their ids."""
_LONGEST = 1 << 19
"""Longest run that comes of merging, which takes 40 bytes for each id for a moment."""


class RepeatedIds:
    """The ids of a file so far: 64-bit hashes with their lines, 12 bytes for each (120 MB for ten million).

    Two different ids among ten million share a hash in 3 of a million files; the later of them would be refused as a
    repetition. The hashes are Python's own, keyed anew in every process, so that nobody can aim at it.
    """

    def __init__(self) -> None:
        self._runs: list[_Run] = []

    def note(self, ids: Sequence[str], lines: Sequence[int]) -> dict[int, int]:
        """Take the ids in; return the places of those that came before, each with the line of the first."""
        hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
        order = np.argsort(hashes, kind="stable")
        hashes, numbers = hashes[order], np.asarray(lines, np.uint32)[order]
        first = np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)]
        firsts = numbers[first][np.cumsum(first) - 1] if len(hashes) else numbers
        repeated = ~first
        for run_hashes, run_lines in self._runs:
            places = np.minimum(np.searchsorted(run_hashes, hashes), len(run_hashes) - 1)
            known = run_hashes[places] == hashes
            firsts = np.where(known, run_lines[places], firsts)
            repeated |= known
        self._add(hashes[~repeated], numbers[~repeated])
        return dict(zip(order[repeated].tolist(), firsts[repeated].tolist(), strict=True))

    def known(self, ids: Sequence[str]) -> list[bool]:
        """Say of each id whether it came; of one that did not, very seldom by mistake that it did."""
        hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
        found = np.zeros(len(ids), np.bool_)
        for run_hashes, _ in self._runs:
            places = np.minimum(np.searchsorted(run_hashes, hashes), len(run_hashes) - 1)
            found |= run_hashes[places] == hashes
        return found.tolist()

    def _add(self, hashes: NDArray[np.int64], lines: NDArray[np.uint32]) -> None:
        """Add a run; as runs of like size are merged, there are not many to look through."""
        while self._runs and len(self._runs[-1][0]) < min(2 * len(hashes), _LONGEST - len(hashes)):
            other_hashes, other_lines = self._runs.pop()
            hashes = np.concatenate([other_hashes, hashes])
            order = np.argsort(hashes, kind="stable")
            hashes, lines = hashes[order], np.concatenate([other_lines, lines])[order]
        if len(hashes):
            self._runs.append((hashes, lines))
