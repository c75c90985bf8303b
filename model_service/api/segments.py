"""The segments' labels: the names, descriptions, owners and actions that people give them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from model_service.api.bodies import StrictRoute
from model_service.api.dependencies import Model, Store, no_query
from model_service.api.openapi import BAD_BODY, NO_QUERY, NOT_WRITABLE, problems
from model_service.store.labelling import label_of, labels_in_use, relabel
from model_service.store.labels import LabelPatch
from shared.model_contract import SEGMENTS, Label

router = APIRouter(route_class=StrictRoute, dependencies=[no_query], responses=NO_QUERY)

_NO_SEGMENT = {"s404": "No stored version has a segment with this id"}
_DAMAGED = {"s409": "The segment labels cannot be read"}

Segment = Annotated[str, Path(alias="id", examples=["seg-01"])]


@router.get(SEGMENTS, response_model=dict[str, dict[str, Label]], responses=problems(**_DAMAGED))
def list_labels(store: Store) -> dict[str, dict[str, Label]]:
    """List the labels that people gave the segments, by segment id."""
    return {"items": labels_in_use(store)}


@router.get(SEGMENTS + "/{id}", response_model=Label, responses=problems(**_NO_SEGMENT, **_DAMAGED))
def get_label(segment: Segment, store: Store) -> Label:
    """Read the label of a segment."""
    return label_of(store, segment)


@router.patch(
    SEGMENTS + "/{id}",
    response_model=Label,
    responses=problems(
        **BAD_BODY,
        **_NO_SEGMENT,
        **NOT_WRITABLE,
        s409="Another segment has this name, the label is no longer that of if_labelled_at, or labels cannot be read",
    ),
)
def change_label(segment: Segment, patch: LabelPatch, store: Store, model: Model) -> Label:
    """Name a segment, describe it, say who owns it and what to do with it, for all versions; null clears."""
    label = relabel(store, segment, patch)
    model.refresh()
    return label
