"""Preview and drift over all stored customers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import compress
from typing import TypeVar, cast

from gateway.services.customers.store import Block, CustomerStore
from gateway.services.models.registry import ModelRegistry
from shared.features import INPUT_NAMES, INPUTS
from shared.model_contract import Drift, Preview

BLOCK_ROWS = 10_000
"""Customers held in memory at a time."""

_REQUIRED = tuple(f.name for f in INPUTS if not f.nullable)

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
        return self._over_customers(lambda blocks: self._registry.preview(version, blocks))

    def drift(self, version: str) -> Drift:
        """Say whether the customers are still those that the version was trained on.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        return self._over_customers(lambda blocks: self._registry.drift(version, blocks))

    def _over_customers(self, analyse: Callable[[Iterable[Block]], Result]) -> Result:
        customers = _CompleteCustomers(self._store.stream(INPUT_NAMES, BLOCK_ROWS))
        return customers.with_remark(analyse(customers))


class _CompleteCustomers:
    """Leaves out customers that were stored before a feature existed: no model can place them."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self.left_out = 0

    def __iter__(self) -> Iterator[Block]:
        for block in self._blocks:
            gaps = [block.columns[name] for name in _REQUIRED if None in block.columns[name]]
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
