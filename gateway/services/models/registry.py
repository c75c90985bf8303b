"""What the services and controllers need of the model's life: its versions, trainings, pictures and analyses.

Every method may raise `ModelUnavailable`, `ModelTimeout` or `ModelMalformed`, and `RegistryRefusal` where the model
service has a reason to say no. A `version` is a version's name or `shared.model_contract.ACTIVE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypedDict

from gateway.services.customers.store import Block
from shared.model_contract import Activation, Drift, Gate, Label, ModelEntry, Plot, Preview, Training

Order = Mapping[str, Any]
"""What a caller asks for in a JSON object; the model service says what may be in it."""

Format = Literal["svg", "png"]


class ModelList(TypedDict):
    """The versions, newest first, which is active, and which serves: another one while the active one is damaged."""

    items: list[ModelEntry]
    active: str | None
    serving: str | None


class Activations(TypedDict):
    """The history of activations, newest first."""

    items: list[Activation]


class Trainings(TypedDict):
    """The latest trainings, newest first."""

    items: list[Training]


class Plots(TypedDict):
    """The pictures stored with a version."""

    items: list[Plot]


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of customers on its way to a training: its media type, its size in bytes if known, and its content."""

    media_type: str
    size: int | None
    pieces: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Document:
    """A picture or a page; ``content`` is None where the caller's copy (its `validator`) is still the right one.

    ``validator`` is the entity tag as it stands in HTTP, ``caching`` what caches may do, ``policy`` what a browser
    may load while it shows the document; each "" where the model service says nothing.
    """

    media_type: str
    content: bytes | None
    validator: str = ""
    caching: str = ""
    policy: str = ""


class ModelRegistry(Protocol):
    """The versions of the model, which of them is active, and what people call its segments."""

    def models(self) -> ModelList:
        """Return all versions."""

    def model(self, version: str) -> dict[str, Any]:
        """Return the whole description of a version."""

    def gate(self, version: str) -> Gate:
        """Say whether a version may replace the active one."""

    def activate(self, version: str, order: Order) -> Activation:
        """Make a version the active one."""

    def roll_back(self, order: Order) -> Activation:
        """Make the version active that was so before."""

    def activations(self) -> Activations:
        """Return the history of activations."""

    def label(self, segment_id: str, changes: Order) -> Label:
        """Change what people call a segment (merge patch)."""


class TrainingOffice(Protocol):
    """Trainings, which are background processes of the model service."""

    def train(self, upload: Upload, query: Mapping[str, str]) -> Training:
        """Hand over a file of customers and begin to train on it."""

    def trainings(self) -> Trainings:
        """Return the latest trainings."""

    def training(self, training_id: str) -> Training:
        """Return one training."""

    def training_log(self, training_id: str) -> str:
        """Return what a training has said so far."""

    def cancel(self, training_id: str) -> Training:
        """Ask a training to stop."""


class TrainingRecords(Protocol):
    """What the model service keeps about trainings."""

    def erase_from_trainings(self, cust_id: str) -> int:
        """Remove a customer's id from the records and logs that quote it; return how many those were.

        Refused while a training runs: it holds a file of customers, and may quote them.
        """


class Gallery(Protocol):
    """Reports and pictures."""

    def report(self, version: str, known: str | None) -> Document:
        """Return a version's report, unless the caller's copy (the entity tags in `known`) is the right one."""

    def plots(self, version: str) -> Plots:
        """List the pictures of a version."""

    def plot(self, version: str, name: str, kind: Format, known: str | None) -> Document:
        """Return one picture of a version, unless the caller's copy is the right one."""

    def interface(self, known: str | None) -> Document:
        """Return the OpenAPI document of the model service, unless the caller's copy is the right one."""

    def draw(self, figure: Drift | Preview, kind: Format) -> Document:
        """Draw the result of an analysis."""


class Analyst(Protocol):
    """Looks at a version over many customers, who come in blocks of `shared.contract.MAX_COLUMNAR` rows at most."""

    def preview(self, version: str, blocks: Iterable[Block]) -> Preview:
        """Say who moves if the version replaces the active one."""

    def drift(self, version: str, blocks: Iterable[Block]) -> Drift:
        """Say whether the customers are still those that the version was trained on."""
