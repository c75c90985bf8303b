"""Naming segments: who may be called what, and what to remember about it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import cast

from model_service.store.artefact import reading
from model_service.store.errors import ArtefactDamaged, LabelChanged, NameTaken, SegmentNotFound, VersionNotFound
from model_service.store.labels import LabelPatch, Labels, name_key
from model_service.store.manifest import StoredSegment
from model_service.store.registry import ModelStore
from shared.model_contract import Label


def labels_in_use(store: ModelStore) -> dict[str, Label]:
    """Return the labels of all segments of the active version, and those of others that have one, by id.

    Raises
    ------
    LabelsDamaged
    """
    labels = store.labels.read()
    unlabelled = {s["id"]: _blank(s) for s in _active_segments(store)}
    return dict(sorted((unlabelled | labels).items()))


def label_of(store: ModelStore, segment: str) -> Label:
    """Return a segment's label; without content when nobody labelled it.

    Raises
    ------
    SegmentNotFound, LabelsDamaged
    """
    return store.labels.read().get(segment) or _blank(_find(store, segment))


def relabel(store: ModelStore, segment: str, patch: LabelPatch) -> Label:
    """Change what people call a segment.

    Raises
    ------
    SegmentNotFound, NameTaken, LabelChanged, LabelsDamaged, StoreNotWritable
    """
    stored, changes = _find(store, segment), patch.changes()
    with store.writing():
        labels = store.labels.read()
        label = labels.get(segment) or _blank(stored)
        if not patch.fits(label):
            raise LabelChanged(_changed(segment, label))
        if "name" in changes:
            _refuse_taken(changes["name"], stored, store, labels)
        if not changes:
            return label
        if "name" in changes:
            label["derived_name"] = stored["derived_name"]
        label |= cast(Label, {**changes, "changed_at": _now(), "changed_by": patch.by})
        store.labels.replace(labels | {segment: label})
    return label


def _now() -> str:
    """Return the time, fine enough to tell two changes apart."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _changed(segment: str, label: Label) -> str:
    if label["changed_at"] is None:
        return f"Segment {segment} has no label any more."
    return f"The label of segment {segment} was changed by {label['changed_by']} at {label['changed_at']}."


def _blank(segment: StoredSegment) -> Label:
    return Label(
        name=None,
        description=None,
        owner=None,
        actions=None,
        derived_name=segment["derived_name"],
        changed_at=None,
        changed_by=None,
    )


def _refuse_taken(name: str | None, segment: StoredSegment, store: ModelStore, labels: Labels) -> None:
    """Refuse a name that people or rules gave to another segment; None asks for the segment's own by rule.

    Names by rule are taken even where people's stand in for them: they come back when those are cleared. Those of one
    version differ, so that one of them can only be in the way of a name that somebody gave.
    """
    taken = [(identity, label["name"]) for identity, label in labels.items() if label["name"]]
    if name is not None:
        taken += [(s["id"], s["name"]) for s in _active_segments(store)]
    wanted = name_key(name or segment["name"])
    for other, theirs in taken:
        if other != segment["id"] and theirs and name_key(theirs) == wanted:
            raise NameTaken(f"Segment {other} already has the name {theirs!r}, by its label or by rule.")


def _active_segments(store: ModelStore) -> Iterable[StoredSegment]:
    """Return the segments of the active version or, when it is damaged, of the one that serves in its place."""
    return next(filter(None, (_segments(store, version) for version in store.serving_order())), {}).values()


def _find(store: ModelStore, identity: str) -> StoredSegment:
    """Return a segment as the active version has it or, failing that, the newest that does."""
    for version in [*store.serving_order()[:1], *reversed(store.versions())]:
        segments = _segments(store, version)
        if identity in segments:
            return segments[identity]
    raise SegmentNotFound(f"No stored version has a segment {identity!r}.")


def _segments(store: ModelStore, version: str) -> dict[str, StoredSegment]:
    """Return a version's segments by id; none when it is damaged."""
    with contextlib.suppress(VersionNotFound, ArtefactDamaged), reading(version):
        return {s["id"]: s for s in store.manifest(version)["segments"]}
    return {}
