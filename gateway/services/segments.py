"""The segments of the active model, with how many stored customers each has now."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from gateway.services.assignment import now
from gateway.services.errors import SegmentNotFound
from gateway.services.ports import CustomerStore, Model, SegmentCounts
from shared.contract import Quartiles, Segment


class SegmentNow(TypedDict):
    """A segment with its size and share (0-1) among the stored customers, beside those of the training data."""

    id: str
    name: str
    size: int
    share: float
    training_size: int
    training_share: float
    actions: list[str]
    profile: dict[str, Quartiles]


class SegmentList(TypedDict):
    """All segments of the active model; `pending` customers have none yet, `retired` ones that of an older model."""

    items: list[SegmentNow]
    model_version: str
    customers: int
    pending: int
    retired: int
    as_of: datetime


class SegmentService:
    """What kinds of customer there are."""

    def __init__(self, store: CustomerStore, model: Model) -> None:
        self._store = store
        self._model = model

    def list(self) -> SegmentList:
        """Return every segment of the active model.

        Raises
        ------
        ModelServiceError
        """
        model = self._model.active()
        counts = self._store.segment_counts()
        items = [_now(segment, counts) for segment in model["segments"]]
        return SegmentList(
            items=items,
            model_version=model["version"],
            customers=counts.total,
            pending=counts.pending,
            retired=counts.total - counts.pending - sum(item["size"] for item in items),
            as_of=now(),
        )

    def get(self, segment_id: str) -> SegmentNow:
        """Return one segment of the active model.

        Raises
        ------
        SegmentNotFound, ModelServiceError
        """
        for segment in self.list()["items"]:
            if segment["id"] == segment_id:
                return segment
        raise SegmentNotFound(segment_id)


def _now(segment: Segment, counts: SegmentCounts) -> SegmentNow:
    size = counts.by_segment.get(segment["id"], 0)
    assigned = counts.total - counts.pending
    return SegmentNow(
        id=segment["id"],
        name=segment["name"],
        size=size,
        share=size / assigned if assigned else 0.0,
        training_size=segment["size"],
        training_share=segment["share"],
        actions=segment["actions"],
        profile=segment["profile"],
    )
