"""What a version says of itself, to those who use its segments and to those who judge it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, cast

from model_service.labels import Labels, displayed_name, name_warning
from model_service.manifest import Manifest, StoredSegment
from shared.contract import Segment
from shared.model_description import DescribedSegment, ModelDescription


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
