"""The segments of the active model, with how many stored customers each has and what these owe and spend."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NotRequired, TypedDict, cast

from gateway.services.events.recorder import Recorder, named
from gateway.services.models.descriptions import Description, ModelDescriptions
from gateway.services.models.registry import ModelRegistry, Payload
from gateway.services.models.segment_snapshots import Figure, SegmentSizes, Sizes, Snapshot, State, size_of
from shared.contract import Quartiles
from shared.model_description import Member, Rule

DETAILS = ("rules", "typical", "borderline")
"""What helps to read one segment; versions that were made before there was any have none of it."""
LABEL = ("name", "description", "owner", "actions")
"""What people may change of a segment."""


class SegmentNow(TypedDict):
    """A segment with its size and share (0-1) among the stored customers, beside those of the training data.

    ``name`` is what people call it, ``derived_name`` what the rules make of its profile; ``name_warning`` says why the
    two may no longer fit together. ``actions`` are what people want to be done, else the ``derived_actions``; name,
    description, owner and actions were last changed at ``labelled_at``. ``borderline_size`` counts the customers in it
    of a confidence below 0.9. ``money`` has sums and means of BALANCE, CREDIT_LIMIT, PURCHASES, CASH_ADVANCE, PAYMENTS
    and UTILISATION (BALANCE / CREDIT_LIMIT of each customer that has a limit).
    """

    id: str
    name: str
    derived_name: str | None
    description: str | None
    owner: str | None
    name_warning: str | None
    size: int
    share: float
    borderline_size: int
    money: dict[str, Figure]
    training_size: int
    training_share: float
    actions: list[str]
    derived_actions: list[str]
    labelled_at: str | None
    labelled_by: str | None
    profile: dict[str, Quartiles]


class Counted(TypedDict):
    """What holds for all that was counted ``as_of`` a time, and for the description of the segments.

    ``state`` is ``fresh`` where nothing is known to have changed since, ``computing`` where customers have, who are
    being counted or will be when it is time to; ``failed`` says in ``state_reason`` why they are not. It is so since
    ``state_since``. ``described_at`` is when the model service described the segments: now, unless it is away.
    """

    model_version: str
    as_of: datetime
    state: State
    state_since: datetime
    state_reason: str | None
    described_at: datetime


class SegmentInFull(SegmentNow, Counted):
    """A segment with its rule sheet and some of its members in the training data, who have no ids."""

    rules: NotRequired[list[Rule]]
    typical: NotRequired[list[Member]]
    borderline: NotRequired[list[Member]]


class SegmentList(Counted):
    """All segments of the active model, with what was counted ``as_of`` a time.

    ``pending`` customers have no segment yet, ``outdated`` ones a segment by another version than ``model_version``;
    the worker scores both. ``retired`` ones are in a segment that this version does not have.
    """

    items: list[SegmentNow]
    customers: int
    pending: int
    outdated: int
    retired: int


class SegmentService:
    """What kinds of customer there are."""

    def __init__(
        self, sizes: SegmentSizes, descriptions: ModelDescriptions, registry: ModelRegistry, recorder: Recorder
    ) -> None:
        self._sizes = sizes
        self._descriptions = descriptions
        self._registry = registry
        self._recorder = recorder

    def list(self) -> SegmentList:
        """Return every segment of the active model.

        Raises
        ------
        ModelServiceError, SegmentsBeingCounted, StoreError
        """
        sizes, model = self._sizes.now(), self._descriptions.active()
        snapshot = sizes.snapshot
        assigned, pending = snapshot.assigned, snapshot.pending
        items = [_now(segment, snapshot) for segment in model.segments]
        return SegmentList(
            items=items,
            customers=assigned + pending,
            pending=pending,
            outdated=assigned - snapshot.of_version(model.version),
            retired=assigned - sum(item["size"] for item in items),
            **_counted(model, sizes),
        )

    def get(self, segment_id: str) -> SegmentInFull:
        """Return one segment of the active model.

        Raises
        ------
        SegmentNotFound, RegistryRefusal, ModelServiceError, SegmentsBeingCounted, StoreError
        """
        model = self._descriptions.in_full()
        model.segment(segment_id)
        return _in_full(segment_id, model, self._sizes.now())

    def label(self, segment_id: str, changes: Payload) -> SegmentInFull:
        """Change what people call a segment of the active model, and return it.

        Raises
        ------
        SegmentNotFound, RegistryRefusal, ModelServiceError, SegmentsBeingCounted, StoreError
        """
        self._descriptions.read().segment(segment_id)  # an older version's segment can be labelled, but not shown
        sizes = self._sizes.now()  # before the change, so that there is an answer to it
        fields = [name for name in LABEL if name in changes]
        with self._recorder.order("segment.relabelled", "segment", segment_id, by=named(changes), fields=fields):
            self._registry.label(segment_id, self._recorder.signed(changes))
        return _in_full(segment_id, self._descriptions.renewed(), sizes)


def _in_full(segment_id: str, model: Description, sizes: Sizes) -> SegmentInFull:
    segment = cast(Mapping[str, Any], model.segment(segment_id))
    reading = {name: segment[name] for name in DETAILS if name in segment}
    return cast(SegmentInFull, {**_now(segment, sizes.snapshot), **reading, **_counted(model, sizes)})


def _counted(model: Description, sizes: Sizes) -> Counted:
    return Counted(
        model_version=model.version,
        as_of=sizes.snapshot.as_of,
        state=sizes.state,
        state_since=sizes.since,
        state_reason=sizes.reason,
        described_at=model.described_at,
    )


def _now(segment: Mapping[str, Any], snapshot: Snapshot) -> SegmentNow:
    size = size_of(snapshot, segment["id"])
    return SegmentNow(
        id=segment["id"],
        name=segment["name"],
        derived_name=segment.get("derived_name"),
        description=segment.get("description"),
        owner=segment.get("owner"),
        name_warning=segment.get("name_warning"),
        size=size["size"],
        share=size["share"],
        borderline_size=size["borderline_size"],
        money=size["money"],
        training_size=segment["size"],
        training_share=segment["share"],
        actions=segment["actions"],
        derived_actions=segment.get("derived_actions", segment["actions"]),
        labelled_at=segment.get("labelled_at"),
        labelled_by=segment.get("labelled_by"),
        profile=segment["profile"],
    )
