"""What the versions in a store say of themselves: the list of all, and the description of one."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal, TypedDict, cast

from model_service.store.artefact import reading
from model_service.store.errors import ArtefactDamaged, NoActiveModel
from model_service.store.files import moment_of
from model_service.store.labels import Labels, displayed_name, name_warning
from model_service.store.manifest import Manifest, StoredSegment
from model_service.store.registry import ModelStore
from shared.contract import Segment
from shared.model_contract import Activation, ModelEntry
from shared.model_description import DescribedSegment, ModelDescription


class Catalogue(TypedDict):
    """All versions, newest first, which is active, and which serves: another one while the active one is damaged."""

    items: list[ModelEntry]
    active: str | None
    serving: str | None


def catalogue(store: ModelStore, serving: str | None = None) -> Catalogue:
    """List all versions; none is left out because it, the labels or the record of activations is damaged.

    Parameters
    ----------
    serving : the version that serves, for those who know it.
    """
    labels, items = store.labels.usable(), []
    activated = [entry["version"] for entry in _readable_history(store)]
    active = activated[0] if activated else None
    for version in reversed(store.versions()):
        status: Literal["active", "former", "candidate"] = "former" if version in activated else "candidate"
        items.append(_entry(store, version, "active" if version == active else status, labels))
    return Catalogue(items=items, active=active, serving=serving)


def history(store: ModelStore) -> list[Activation]:
    """Return all activations, newest first.

    Raises
    ------
    ArtefactDamaged
    """
    try:
        return store.active.read()["history"][::-1]
    except NoActiveModel:
        return []


def description(store: ModelStore, version: str) -> ModelDescription:
    """Return everything about a version that people read.

    Raises
    ------
    VersionNotFound, ArtefactDamaged
    """
    with reading(version):
        return describe(store.manifest(version), store.labels.usable())


def _readable_history(store: ModelStore) -> list[Activation]:
    with contextlib.suppress(ArtefactDamaged):  # health says so
        return history(store)
    return []


def _entry(
    store: ModelStore, version: str, status: Literal["active", "former", "candidate"], labels: Labels
) -> ModelEntry:
    with contextlib.suppress(ArtefactDamaged), reading(version):
        manifest = store.manifest(version)
        return ModelEntry(
            version=version,
            created_at=manifest["created_at"],
            status=status,
            k=manifest["k"],
            rows=manifest["rows"],
            data=manifest["data"]["name"],
            parent=manifest["parent"],
            segments=[
                {"id": s["id"], "name": displayed_name(s, labels), "share": s["share"]} for s in manifest["segments"]
            ],
        )
    return ModelEntry(
        version=version,
        created_at=moment_of(version),
        status="damaged",
        k=None,
        rows=None,
        data=None,
        parent=None,
        segments=[],
    )


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
