"""What a file is compared with: the customers that the active model was trained on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gateway.services.customers.store import Block
from gateway.services.errors import ModelServiceError, RegistryRefusal
from gateway.services.imports.row_warnings import Matrix, Ranges
from gateway.services.models.registry import ModelRegistry
from shared.columns import stored_column
from shared.features import INPUT_NAMES, INPUTS
from shared.model_contract import ACTIVE, Drift

log = logging.getLogger(__name__)

SAMPLE_ROWS = 50_000
"""Rows of a file that drift is measured on, 14 MB at most: chance alone moves the index of so many by 0.001."""
_BLOCK_ROWS = 10_000
_NO_ROWS = "The file has no faultless row to compare."


class RowSample:
    """Rows of a file, all of them while they are few, else a random sample in which each row is as likely.

    The same file has the same sample.
    """

    def __init__(self, most: int = SAMPLE_ROWS) -> None:
        self._most = most
        self._chance = np.random.default_rng(0)
        self._limit = 1.0
        self._lots: list[Matrix] = []
        self._rows: list[Matrix] = []
        self._size = 0

    def add(self, rows: Matrix) -> None:
        """Draw a lot for each row; those with the lowest stay."""
        lots = self._chance.random(len(rows))
        low = lots < self._limit
        self._lots.append(lots[low])
        self._rows.append(rows[low])
        self._size += int(np.count_nonzero(low))
        if self._size > 2 * self._most:  # not at every step: it copies all of them
            self._cut()

    def blocks(self) -> Iterator[Block]:
        """Yield the sample by column, without ids."""
        self._cut()
        rows = np.concatenate([np.empty((0, len(INPUTS))), *self._rows])
        for first in range(0, len(rows), _BLOCK_ROWS):
            columns = zip(rows[first : first + _BLOCK_ROWS].T, INPUTS, strict=True)
            yield Block([], dict(zip(INPUT_NAMES, [stored_column(*column) for column in columns], strict=True)))

    def __len__(self) -> int:
        """Return how many rows are in it."""
        return min(self._size, self._most)

    def _cut(self) -> None:
        if self._size <= self._most:
            return
        lots, rows = np.concatenate(self._lots), np.concatenate(self._rows)
        lowest = np.sort(np.argpartition(lots, self._most)[: self._most])
        self._lots, self._rows, self._size = [lots[lowest]], [rows[lowest]], self._most
        self._limit = float(self._lots[0].max())


class Compared(NamedTuple):
    """The drift of a file, or why it is not known."""

    drift: Drift | None
    unavailable: str | None


class TrainingComparison:
    """Compares files with the active model's training data; no import fails because that is not possible.

    Parameters
    ----------
    deadline : seconds to wait for the drift of a sample.
    """

    def __init__(self, registry: ModelRegistry, deadline: float) -> None:
        self._registry = registry
        self._deadline = deadline

    def ranges(self) -> Ranges | None:
        """Return between what the training customers lie, or None where the model service does not say."""
        try:
            found: Ranges | None = self._registry.model(ACTIVE).get("ranges")
        except (ModelServiceError, RegistryRefusal) as error:
            log.warning("a file is imported without comparing it with the training data: %s", error)
            return None
        return found

    def drift(self, sample: RowSample) -> Compared:
        """Return how far the rows of a file are from the training data."""
        if not len(sample):
            return Compared(None, _NO_ROWS)
        try:
            return Compared(self._registry.drift(ACTIVE, sample.blocks(), self._deadline), None)
        except (ModelServiceError, RegistryRefusal) as error:
            log.warning("the drift of a file could not be measured: %s", error)
            return Compared(None, str(error))
