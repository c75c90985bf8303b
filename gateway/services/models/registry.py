"""What the services and controllers need of the model's life: its versions, trainings, documents and analyses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypedDict

from gateway.services.customers.store import Block
from shared.model_contract import Activation, Drift, Edition, Gate, Label, ModelList, Plot, Preview, Training

Payload = Mapping[str, Any]
"""A JSON object that a client sends; the model service judges what may be in it."""

Format = Literal["svg", "png"]


class Activations(TypedDict):
    """The history of activations, newest first."""

    items: list[Activation]


class Trainings(TypedDict):
    """The latest trainings, newest first."""

    items: list[Training]


class Plots(TypedDict):
    """The plots stored with a version."""

    items: list[Plot]


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of customers on its way to a training: its media type, its size in bytes if known, and its content."""

    media_type: str
    size: int | None
    pieces: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class ServedFile:
    """A report, a plot or an OpenAPI document as the model service serves it.

    ``content`` is None where the caller's copy, which has the same `validator`, is still current. ``validator``,
    ``caching`` and ``policy`` (what a browser may load while it shows the file) are the model service's words, and ""
    where it says nothing.
    """

    media_type: str
    content: bytes | None
    validator: str = ""
    caching: str = ""
    policy: str = ""


class ModelRegistry(Protocol):
    """The model service beside its predictions.

    Every method may raise `ModelUnavailable`, `ModelTimeout` or `ModelMalformed`, and `RegistryRefusal` where the model
    service has a reason to refuse. A `version` is a version's name or `shared.model_contract.ACTIVE`; `known` are the
    validators of the copies that the caller has.
    """

    def models(self) -> ModelList:
        """Return all versions."""

    def model(self, version: str) -> dict[str, Any]:
        """Return the whole description of a version."""

    def gate(self, version: str) -> Gate:
        """Say whether a version may replace the active one."""

    def activate(self, version: str, payload: Payload, event: str | None = None) -> Activation:
        """Make a version the active one; if it was so already, return how it became so.

        Parameters
        ----------
        event : the id that this is to have in the history; a new one unless given.
        """

    def roll_back(self, payload: Payload, event: str | None = None) -> Activation:
        """Make the previously active version the active one; `event` as in `activate`."""

    def activations(self) -> Activations:
        """Return the history of activations."""

    def label(self, segment_id: str, changes: Payload) -> Label:
        """Change what people call a segment (merge patch)."""

    def train(self, upload: Upload, query: Mapping[str, str]) -> Training:
        """Hand over a file of customers and begin to train on it."""

    def trainings(self) -> Trainings:
        """Return the latest trainings."""

    def training(self, training_id: str) -> Training:
        """Return one training."""

    def training_log(self, training_id: str) -> str:
        """Return what a training has logged so far."""

    def cancel(self, training_id: str) -> Training:
        """Request that a training stops."""

    def erase_from_trainings(self, cust_id: str) -> int:
        """Remove a customer's id from the records and logs of trainings that quote it; return how many those were.

        Refused while a training runs: it holds a file of customers, and may quote them.
        """

    def report(self, version: str, known: str | None, edition: Edition = "validation") -> ServedFile:
        """Return a version's report, in one of its editions."""

    def plots(self, version: str) -> Plots:
        """Return the plots of a version."""

    def plot(self, version: str, name: str, kind: Format, known: str | None) -> ServedFile:
        """Return one plot of a version."""

    def openapi_document(self, known: str | None) -> ServedFile:
        """Return the OpenAPI document of the model service."""

    def draw(self, figure: Drift | Preview, kind: Format) -> ServedFile:
        """Draw the result of an analysis."""

    def preview(self, version: str, blocks: Iterable[Block]) -> Preview:
        """Say which customers move if the version replaces the active one; a block has `MAX_COLUMNAR` rows at most."""

    def drift(self, version: str, blocks: Iterable[Block], deadline: float | None = None) -> Drift:
        """Say whether the customers are still those that the version was trained on; blocks as in `preview`.

        Give up after `deadline` seconds, if given.
        """
