"""The registry: which versions there are, which is active, and making another one so."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from model_service.api.bodies import StrictRoute
from model_service.api.dependencies import Model, Store, TheSettings, no_query
from model_service.api.openapi import (
    BAD_BODY,
    NO_MODEL,
    NO_QUERY,
    NO_VERSION,
    NOT_WRITABLE,
    StoredVersion,
    links,
    problems,
)
from model_service.store.active_file import UNKNOWN
from model_service.store.description import describe, describe_version, history, list_versions
from model_service.store.labels import Line, Reason
from shared.contract import ACTIVE_MODEL
from shared.model_contract import ACTIVATIONS, EVENT_HEADER, MODELS, Activation, Gate, ModelList
from shared.model_description import ModelDescription

router = APIRouter(route_class=StrictRoute, dependencies=[no_query], responses=NO_QUERY)

_of_versions = ("describe_version", "judge_version", "activate_version", "show_report", "list_plots")


class Rollback(BaseModel):
    """Why, and who."""

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)

    reason: Annotated[Reason, Field(description="Why")] = ""
    by: Annotated[Line, Field(description="Who")] = UNKNOWN


class Activate(Rollback):
    """Why, who, and whether to overrule the gate, which takes a reason."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"force": {"const": True}}, "required": ["force"]},
            "then": {"properties": {"reason": {"pattern": "\\S"}}, "required": ["reason"]},
        }
    )

    force: bool = Field(False, description="Activate it even if the gate refuses; needs a reason")


EventId = Annotated[
    str | None,
    Header(
        alias=EVENT_HEADER, pattern="^[0-9a-f]{16,64}$", description="Its id in the history; a new one unless given"
    ),
]

_NO_REASON, _PLAINLY = Rollback(), Activate(force=False)


@router.get(
    MODELS,
    response_model=ModelList,
    responses={200: {"links": links("/items/0/version", "version", *_of_versions)}},
)
def list_models(store: Store, model: Model) -> ModelList:
    """List all versions, newest first, and say which is active and which serves."""
    return list_versions(store, model.status.version)


@router.get(ACTIVE_MODEL, response_model=ModelDescription, responses=problems(**NO_MODEL))
async def describe_active_model(model: Model, settings: TheSettings) -> ModelDescription:
    """Describe the model that serves: its segments, profiles and actions, and the evidence for them."""
    predictor = model.serving()
    return describe(predictor.manifest, predictor.labels, settings.currency)


@router.get(MODELS + "/rollback", include_in_schema=False)
def refuse_to_describe_rollback() -> None:
    """Keep the address of rollbacks, which are posted, from being taken for that of a version."""
    raise HTTPException(405)


@router.get(
    MODELS + "/{version}",
    operation_id="describe_version",
    response_model=ModelDescription,
    responses=problems(**NO_VERSION, s409="The version is damaged"),
)
def describe_model(version: StoredVersion, store: Store, settings: TheSettings) -> ModelDescription:
    """Describe a version."""
    return describe_version(store, version, settings.currency)


@router.get(
    MODELS + "/{version}/gate",
    operation_id="judge_version",
    response_model=Gate,
    responses=problems(**NO_VERSION, **NO_MODEL, s409="The activation history is damaged"),
)
def judge_model(version: StoredVersion, store: Store) -> Gate:
    """Say whether a version may replace the active one now."""
    return store.gate(version)


@router.post(
    MODELS + "/rollback",
    response_model=Activation,
    responses=problems(
        **BAD_BODY, **NOT_WRITABLE, s409="No version was active before this one, or that one cannot serve any more"
    ),
)
def roll_back(store: Store, model: Model, request: Rollback = _NO_REASON, event: EventId = None) -> Activation:
    """Go back to the version that was active before; repeated, to the one before that."""
    activation = store.rollback(request.reason, request.by, event)
    model.refresh()
    return activation


@router.post(
    MODELS + "/{version}/activate",
    operation_id="activate_version",
    response_model=Activation,
    responses=problems(
        **BAD_BODY,
        **NO_VERSION,
        **NOT_WRITABLE,
        s409="The gate refuses it, each failed check an error; or it is damaged, or incompatible with this program",
    ),
)
def activate(
    version: StoredVersion, store: Store, model: Model, request: Activate = _PLAINLY, event: EventId = None
) -> Activation:
    """Make a version the active one."""
    activation = store.activate(version, request.reason, request.by, request.force, event)
    model.refresh()  # so that this process serves it before it answers; the others follow at their next check
    return activation


@router.get(
    ACTIVATIONS,
    response_model=dict[str, list[Activation]],
    responses=problems(s409="The activation history is damaged"),
)
def list_activations(store: Store) -> dict[str, list[Activation]]:
    """List all activations and rollbacks, newest first, with who and why."""
    return {"items": history(store)}
