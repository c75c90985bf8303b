"""Looking at the versions in a store, damaged ones among them."""

from __future__ import annotations

import contextlib
from typing import Literal, TypedDict

from model_service.artefact import reading
from model_service.description import describe
from model_service.durable_files import moment_of
from model_service.labels import Labels, displayed_name
from model_service.registry import ModelStore
from model_service.registry_errors import ArtefactDamaged, NoActiveModel
from shared.model_contract import Activation, ModelEntry
from shared.model_description import ModelDescription


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
