"""Preview and drift over all stored customers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from typing import TypeVar, cast

from gateway.services.customers.store import Block, CustomerStore
from gateway.services.models.registry import ModelRegistry
from shared.features import INPUT_NAMES, REQUIRED_NAMES
from shared.model_contract import ACTIVE, Drift, Preview

BLOCK_ROWS = 10_000
"""Customers held in memory at a time."""

Result = TypeVar("Result", bound=Drift | Preview)


class AnalysisService:
    """Compares a version of the model with all stored customers."""

    def __init__(self, store: CustomerStore, registry: ModelRegistry) -> None:
        self._store = store
        self._registry = registry

    def preview(self, version: str) -> Preview:
        """Say which customers move if the version replaces the active one.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        required = {*self._required(version), *self._required(ACTIVE)}
        return self._over_customers(required, lambda blocks: self._registry.preview(version, blocks))

    def drift(self, version: str) -> Drift:
        """Say whether the customers are still those that the version was trained on.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        return self._over_customers(self._required(version), lambda blocks: self._registry.drift(version, blocks))

    def _required(self, version: str) -> Sequence[str]:
        """Return the inputs without which the version cannot place a customer."""
        return cast(Sequence[str], self._registry.model(version).get("required", REQUIRED_NAMES))

    def _over_customers(self, required: Iterable[str], analyse: Callable[[Iterable[Block]], Result]) -> Result:
        customers = CompleteCustomers(self._store.stream(INPUT_NAMES, BLOCK_ROWS), required)
        return customers.with_remark(analyse(customers))


class CompleteCustomers:
    """Leaves out customers that were stored before there was a feature which is now required.

    Attributes
    ----------
    left_out : how many they are, so far.
    """

    def __init__(self, blocks: Iterator[Block], required: Iterable[str] = REQUIRED_NAMES) -> None:
        self._blocks = blocks
        self._required = tuple(required)
        self.left_out = 0

    def __iter__(self) -> Iterator[Block]:
        for block in self._blocks:
            gaps = [block.columns[name] for name in self._required if None in block.columns[name]]
            yield self._without(block, gaps) if gaps else block

    def with_remark(self, result: Result) -> Result:
        """Return the result with a remark on how many were left out."""
        if self.left_out:
            remark = f"{self.left_out} stored customers lack a feature that is now required; they are left out"
            result["remarks"] = [*cast(list[str], result.get("remarks", [])), remark]
        return result

    def _without(self, block: Block, gaps: list[list[float | int | None]]) -> Block:
        whole = [None not in values for values in zip(*gaps, strict=True)]
        self.left_out += whole.count(False)
        columns = {name: list(compress(values, whole)) for name, values in block.columns.items()}
        return Block(list(compress(block.ids, whole)), columns)
