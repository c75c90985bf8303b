"""What the services need of the model service's predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gateway.services.customers.customer import Features
from shared.contract import ColumnarAnswer, ModelSummary, MoveExplanation, Prediction, RowError


class ModelStatus(NamedTuple):
    """What the model service serves: the active version, and what is damaged.

    ``fallback`` says why an older version than the active one serves (its artefact is damaged), ``labels`` why the
    names that people gave are not used (their file is damaged); None where all is well. ``required`` are the inputs
    that a customer must have to be scored, None where an older model service does not say. ``removed`` are features of
    the model that the data dictionary does not have any more.
    """

    version: str
    fallback: str | None = None
    labels: str | None = None
    required: Sequence[str] | None = None
    removed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PredictionOptions:
    """What a prediction is to be: with an explanation or without, by which version (None: the active one)."""

    explain: bool = False
    version: str | None = None


DEFAULT_OPTIONS = PredictionOptions()


@dataclass(frozen=True, slots=True)
class Move:
    """A customer's move from one segment to another under a model version, and what had changed in its data.

    Attributes
    ----------
    changes : by feature, its value before and after; None where it was missing.
    """

    version: str
    origin: str
    destination: str
    changes: Mapping[str, Sequence[float | int | None]]


class Model(Protocol):
    """The model service's predictions. Every method may raise `ModelUnavailable`, `ModelTimeout` or `ModelMalformed`.

    Those that take a version may raise `RegistryRefusal`: it may be missing or damaged.
    """

    def predict(self, features: Features, deadline: float, options: PredictionOptions = DEFAULT_OPTIONS) -> Prediction:
        """Return one customer's prediction; give up after `deadline` seconds."""

    def predict_batch(
        self, customers: Sequence[Features], deadline: float, options: PredictionOptions = DEFAULT_OPTIONS
    ) -> list[Prediction | RowError]:
        """Return a prediction or an error for each of at most `shared.contract.MAX_BATCH` customers, in order.

        Give up after `deadline` seconds.
        """

    def score(
        self, columns: Mapping[str, Sequence[float | int | None]], deadline: float | None = None
    ) -> ColumnarAnswer:
        """Score at most `shared.contract.MAX_COLUMNAR` rows given by column; give up after `deadline` s, if given."""

    def version(self) -> str:
        """Return the active model's version; cheap enough to ask every second."""

    def status(self) -> ModelStatus:
        """Return the active model's version and what is damaged; as cheap as `version`."""

    def active(self, deadline: float | None = None) -> ModelSummary:
        """Return the active model: its version, segments and profiles; give up after `deadline` seconds, if given."""

    def explain_move(self, move: Move, deadline: float) -> MoveExplanation:
        """Say what the changes did for the move; give up after `deadline` seconds.

        Raises
        ------
        RegistryRefusal
            also where the version does not have one of the segments.
        """
