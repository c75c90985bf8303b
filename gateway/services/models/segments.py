"""The segments of the active model, with how many stored customers each has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NotRequired, TypedDict, cast

from gateway.services.customers.store import SegmentCounts
from gateway.services.errors import SegmentNotFound
from gateway.services.events.recorder import Recorder, named
from gateway.services.models.model import Model
from gateway.services.models.registry import ModelRegistry, Payload
from gateway.services.models.segment_sizes import SegmentSizes, Sizes
from shared.contract import Quartiles
from shared.model_description import Member, Rule

DETAILS = ("rules", "typical", "borderline")
"""What helps to read one segment; versions that were made before there was any have none of it."""


class SegmentNow(TypedDict):
    """A segment with its size and share (0-1) among the stored customers, beside those of the training data.

    ``name`` is what people call it, ``derived_name`` what the rules make of its profile; ``name_warning`` says why the
    two may no longer fit together.
    """

    id: str
    name: str
    derived_name: str | None
    description: str | None
    owner: str | None
    name_warning: str | None
    size: int
    share: float
    training_size: int
    training_share: float
    actions: list[str]
    profile: dict[str, Quartiles]


class SegmentInFull(SegmentNow):
    """A segment with its rule sheet and some of its members in the training data, who have no ids."""

    rules: NotRequired[list[Rule]]
    typical: NotRequired[list[Member]]
    borderline: NotRequired[list[Member]]
    as_of: datetime


class SegmentList(TypedDict):
    """All segments of the active model, with what was counted ``as_of`` a time.

    ``pending`` customers have no segment yet, ``outdated`` ones a segment by another version than ``model_version``;
    the worker scores both. ``retired`` ones are in a segment that this version does not have.
    """

    items: list[SegmentNow]
    model_version: str
    customers: int
    pending: int
    outdated: int
    retired: int
    as_of: datetime


class SegmentService:
    """What kinds of customer there are.

    Parameters
    ----------
    deadline : seconds to wait for the model's description.
    """

    def __init__(
        self, sizes: SegmentSizes, model: Model, registry: ModelRegistry, deadline: float, recorder: Recorder
    ) -> None:
        self._sizes = sizes
        self._model = model
        self._registry = registry
        self._deadline = deadline
        self._recorder = recorder

    def list(self) -> SegmentList:
        """Return every segment of the active model.

        Raises
        ------
        ModelServiceError, SegmentsBeingCounted, StoreError
        """
        model = self._model.active(self._deadline)
        sizes = self._sizes.now()
        counts, assigned = sizes.counts, sizes.counts.total - sizes.counts.pending
        items = [_now(segment, counts) for segment in model["segments"]]
        return SegmentList(
            items=items,
            model_version=model["version"],
            customers=counts.total,
            pending=counts.pending,
            outdated=assigned - counts.by_version.get(model["version"], 0),
            retired=assigned - sum(item["size"] for item in items),
            as_of=sizes.as_of,
        )

    def get(self, segment_id: str) -> SegmentInFull:
        """Return one segment of the active model.

        Raises
        ------
        SegmentNotFound, ModelServiceError, SegmentsBeingCounted, StoreError
        """
        return _in_full(self._described(segment_id), self._sizes.now())

    def label(self, segment_id: str, changes: Payload) -> SegmentInFull:
        """Change what people call a segment of the active model, and return it.

        Raises
        ------
        SegmentNotFound, RegistryRefusal, ModelServiceError, SegmentsBeingCounted, StoreError
        """
        self._described(segment_id)  # an older version's segment can be labelled, but not shown
        sizes = self._sizes.now()  # before the change, so that there is an answer to it
        with self._recorder.order("segment.relabelled", "segment", segment_id, by=named(changes)):
            self._registry.label(segment_id, self._recorder.signed(changes))
        return _in_full(self._described(segment_id), sizes)

    def _described(self, segment_id: str) -> Mapping[str, Any]:
        # By its name, since the model service reads that from disk: "active" may be a moment behind a change of names.
        for segment in self._registry.model(self._model.version())["segments"]:
            if segment["id"] == segment_id:
                return cast(Mapping[str, Any], segment)
        raise SegmentNotFound(segment_id)


def _in_full(segment: Mapping[str, Any], sizes: Sizes) -> SegmentInFull:
    reading = {name: segment[name] for name in DETAILS if name in segment}
    return cast(SegmentInFull, {**_now(segment, sizes.counts), **reading, "as_of": sizes.as_of})


def _now(segment: Mapping[str, Any], counts: SegmentCounts) -> SegmentNow:
    size = counts.by_segment.get(segment["id"], 0)
    assigned = counts.total - counts.pending
    return SegmentNow(
        id=segment["id"],
        name=segment["name"],
        derived_name=segment.get("derived_name"),
        description=segment.get("description"),
        owner=segment.get("owner"),
        name_warning=segment.get("name_warning"),
        size=size,
        share=size / assigned if assigned else 0.0,
        training_size=segment["size"],
        training_share=segment["share"],
        actions=segment["actions"],
        profile=segment["profile"],
    )
