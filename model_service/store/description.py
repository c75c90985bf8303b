"""What the versions in a store say of themselves: the list of all, and the description of one."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from model_service.scoring.feature_space import required_inputs
from model_service.scoring.wording import rule_sentence
from model_service.store.active_file import undo_stack
from model_service.store.artefact import reading
from model_service.store.errors import ArtefactDamaged, NoActiveModel
from model_service.store.files import moment_of
from model_service.store.labels import Labels, displayed_actions, displayed_name, name_warning
from model_service.store.manifest import Manifest, StoredSegment
from model_service.store.registry import ModelStore
from shared.contract import Segment
from shared.model_contract import Activation, ModelEntry, ModelList
from shared.model_description import ModelDescription

Shape = TypeVar("Shape")


_described: TypeAdapter[ModelDescription] = TypeAdapter(ModelDescription)
_listed: TypeAdapter[ModelEntry] = TypeAdapter(ModelEntry)


def list_versions(store: ModelStore, serving: str | None = None) -> ModelList:
    """List all versions; none is left out because it, the labels or the record of activations is damaged.

    Parameters
    ----------
    serving : the version that serves, for those who know it.
    """
    labels, items = store.labels.usable(), []
    entries = _readable_history(store)
    activated = [entry["version"] for entry in entries]
    active = activated[0] if activated else None
    for version in reversed(store.versions()):
        status: Literal["active", "former", "candidate"] = "former" if version in activated else "candidate"
        items.append(_entry(store, version, "active" if version == active else status, labels))
    before = undo_stack(entries[::-1])[:-1]
    return ModelList(items=items, active=active, serving=serving, rollback_to=before[-1] if before else None)


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


def describe_version(store: ModelStore, version: str, currency: str = "") -> ModelDescription:
    """Return everything about a version that people read, with amounts in a currency.

    Raises
    ------
    VersionNotFound, ArtefactDamaged
    """
    return describe(store.manifest(version), store.labels.usable(), currency)


def _readable_history(store: ModelStore) -> list[Activation]:
    with contextlib.suppress(ArtefactDamaged):  # health says so
        return history(store)
    return []


def _entry(
    store: ModelStore, version: str, status: Literal["active", "former", "candidate"], labels: Labels
) -> ModelEntry:
    with contextlib.suppress(ArtefactDamaged), reading(version):
        manifest = store.manifest(version)
        entry = ModelEntry(
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
        return _checked(_listed, entry)
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


def describe(manifest: Manifest, labels: Labels, currency: str = "") -> ModelDescription:
    """Return everything about a version that people read, with amounts in a currency.

    Raises
    ------
    ArtefactDamaged
    """
    with reading(manifest["version"]):
        evidence: Mapping[str, Any] = manifest.get("evidence", {})
        of_segments: Mapping[str, Any] = defaultdict(dict, evidence.get("segments", {}))
        segments = [
            {**_evidence(of_segments[stored["id"]], currency), **_published(stored, labels), "match": stored["match"]}
            for stored in manifest["segments"]
        ]
        required = required_inputs(manifest["features"], manifest.get("left_out", []))
        return _checked(_described, {**evidence, **manifest, "segments": segments, "required": required})


def _evidence(found: Mapping[str, Any], currency: str) -> Mapping[str, Any]:
    """Return what helps to read a segment, its rules in the words and the currency of now."""
    if "rules" not in found:
        return found
    return {**found, "rules": [{**rule, "sentence": rule_sentence(rule, currency)} for rule in found["rules"]]}


def _checked(shape: TypeAdapter[Shape], value: Mapping[str, Any]) -> Shape:
    """Return `value` as the wire has it, without members that the wire does not know."""
    try:
        return shape.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


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
        actions=displayed_actions(segment, labels),
        derived_actions=segment["actions"],
        labelled_at=label and label["changed_at"],
        labelled_by=label and label["changed_by"],
        profile=segment["profile"],
    )
