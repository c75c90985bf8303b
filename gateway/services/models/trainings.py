"""Trainings: on a file that a caller sends, or on the customers stored here."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO

from gateway.services.customers.store import Block, CustomerStore
from gateway.services.events.recorder import Recorder, named
from gateway.services.models.analyses import CompleteCustomers
from gateway.services.models.registry import ModelRegistry, Upload
from shared.features import INPUT_NAMES
from shared.model_contract import CSV, Training

BLOCK_ROWS = 10_000
"""Customers held in memory at a time."""


class TrainingService:
    """Hands customers over to the model service, which trains on them in a process of its own."""

    def __init__(self, store: CustomerStore, registry: ModelRegistry, recorder: Recorder) -> None:
        self._store = store
        self._registry = registry
        self._recorder = recorder

    def train_on_file(self, upload: Upload, query: Mapping[str, str]) -> Training:
        """Train on a file of customers.

        Raises
        ------
        RegistryRefusal, ModelServiceError
        """
        return self._train(upload, query)

    def train_on_stored(self, query: Mapping[str, str]) -> Training:
        """Train on all stored customers but those that lack a feature; ids stay here: a training needs none.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        pieces = csv_of(CompleteCustomers(self._store.stream(INPUT_NAMES, BLOCK_ROWS)))
        return self._train(Upload(CSV, None, pieces), {**query, "stored": "true"})

    def _train(self, upload: Upload, query: Mapping[str, str]) -> Training:
        with self._recorder.order("training.started", "training", None, by=named(query)) as entry:
            training = self._registry.train(upload, self._recorder.signed(query))
            entry["subject"]["id"] = training["id"]
        return training

    def cancel(self, training_id: str) -> Training:
        """Request that a training stops."""
        with self._recorder.order("training.cancelled", "training", training_id):
            return self._registry.cancel(training_id)


class ErasableTrainings:
    """The records and logs of trainings, which may quote the ids of customers that a file held twice."""

    name = "trainings"

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    def erase(self, cust_id: str) -> int:
        """Remove a customer's id from all that quotes it; return how many records and logs that were.

        Raises
        ------
        RegistryRefusal
            while a training runs.
        ModelServiceError
        """
        return self._registry.erase_from_trainings(cust_id)


def csv_of(blocks: Iterable[Block]) -> Iterator[bytes]:
    """Yield the customers' features as CSV, the header first; null becomes an empty cell."""
    yield ",".join(INPUT_NAMES).encode() + b"\r\n"
    for block in blocks:
        text = StringIO()
        csv.writer(text).writerows(zip(*(block.columns[name] for name in INPUT_NAMES), strict=True))
        yield text.getvalue().encode()
