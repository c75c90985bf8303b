"""What a version says of itself, to those who use its segments and to those who judge it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, cast

from model_service.labels import Labels, displayed_name, name_warning
from model_service.manifest import (
    Baseline,
    Calibration,
    DataSource,
    Elbow,
    Manifest,
    Match,
    Member,
    Range,
    ReliabilityBin,
    Rule,
    StoredSegment,
)
from shared.contract import Segment


class DescribedSegment(Segment):
    """A segment, how it came to its id, and what helps to read it, which the first versions lack."""

    match: Match
    rules: NotRequired[list[Rule]]
    typical: NotRequired[list[Member]]
    borderline: NotRequired[list[Member]]


class ModelDescription(TypedDict):
    """A `shared.contract.ModelSummary` and everything else about a version that people read.

    The members from ``elbow`` on are missing in the first versions.
    """

    version: str
    created_at: str
    k: int
    rows: int
    features: list[str]
    segments: list[DescribedSegment]
    scores: list[dict[str, Any]]
    data: DataSource
    seed: int
    choice: str
    parent: str | None
    retired: list[str]
    calibration: Calibration
    ranges: dict[str, Range]
    distance_limit: float
    libraries: dict[str, str]
    model_digest: str
    model_sha256: str
    elbow: NotRequired[Elbow]
    remarks: NotRequired[list[str]]
    reliability: NotRequired[list[ReliabilityBin]]
    calibration_error: NotRequired[float]
    fidelity: NotRequired[float]
    baseline: NotRequired[Baseline]


def describe(manifest: Manifest, labels: Labels) -> ModelDescription:
    """Return everything about a version that people read."""
    evidence: Mapping[str, Any] = manifest.get("evidence", {})
    of_segments: Mapping[str, Any] = defaultdict(dict, evidence.get("segments", {}))
    segments = [
        {**_published(stored, labels), "match": stored["match"], **_only(DescribedSegment, of_segments[stored["id"]])}
        for stored in manifest["segments"]
    ]
    return cast(ModelDescription, _only(ModelDescription, evidence, manifest, {"segments": segments}))


def _only(shape: type[Any], *sources: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that `shape` has; of two sources the later counts."""
    return {name: value for source in sources for name, value in source.items() if name in shape.__annotations__}


def _published(segment: StoredSegment, labels: Labels) -> Segment:
    label = labels.get(segment["id"])
    return Segment(
        id=segment["id"],
        name=displayed_name(segment, labels),
        derived_name=segment["derived_name"],
        description=label and label["description"],
        owner=label and label["owner"],
        name_warning=name_warning(segment, labels),
        cluster=segment["cluster"],
        size=segment["size"],
        share=segment["share"],
        actions=segment["actions"],
        profile=segment["profile"],
    )
