"""Why a customer moved from one segment to another when its data changed."""

from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from model_service.api.bodies import StrictRoute
from model_service.api.customers import constraints_of, type_of
from model_service.api.dependencies import Model, no_query
from model_service.api.errors import validation_failed
from model_service.api.openapi import BAD_BODY, NO_MODEL, NO_QUERY, VERSION_PATTERN, problems
from shared.contract import EXPLAIN_MOVE, MoveExplanation
from shared.features import FEATURES, Feature
from shared.model_contract import ACTIVE
from shared.problems import FieldError

router = APIRouter(route_class=StrictRoute, dependencies=[no_query], responses=NO_QUERY)

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _AtLeastOne(BaseModel):
    model_config = _STRICT | ConfigDict(json_schema_extra={"minProperties": 1})

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must have at least one feature")
        return self


def _before_and_after(feature: Feature) -> Any:
    """Return the field of a feature's two values; either may be missing, as the customer may be older than the rule."""
    value: Any = Annotated[type_of(feature), Field(**constraints_of(feature))]
    return list[value | None], Field(None, min_length=2, max_length=2)


FeatureChanges: type[BaseModel] = create_model(
    "FeatureChanges", __base__=_AtLeastOne, **{f.name: _before_and_after(f) for f in FEATURES}
)


class Move(BaseModel):
    """Where a customer came from and went to, and what had changed: each feature's value before and after."""

    model_config = _STRICT

    version: str = Field(
        ACTIVE,
        description=f"The stored version under which it moved, or {ACTIVE}",
        json_schema_extra={"pattern": VERSION_PATTERN},
    )
    origin: str = Field(alias="from", description="The id of the segment that it left", examples=["seg-01"])
    to: str = Field(description="The id of the segment that it went to", examples=["seg-02"])
    changes: FeatureChanges = Field(  # type: ignore[valid-type]  # made of the dictionary
        description="The features that changed: [before, after], null for missing", examples=[{"PURCHASES": [0, 950.5]}]
    )


@router.post(
    EXPLAIN_MOVE,
    response_model=MoveExplanation,
    response_model_exclude_unset=True,
    responses=problems(
        **BAD_BODY,
        **NO_MODEL,
        s404="No version with this name is stored, or it has no segment with one of these ids",
        s409="The version cannot be served",
    ),
)
async def explain_move(move: Move, model: Model) -> MoveExplanation:
    """Explain why a customer moved from one segment to another when its data changed.

    The answer splits the change exactly over the features that changed; those that stayed the same need not be known.
    """
    if move.origin == move.to:
        raise validation_failed([FieldError(pointer="/to", detail="must be another segment than from")])
    predictor = await model.of(move.version)
    return predictor.explain_move(move.origin, move.to, move.changes.model_dump(exclude_unset=True))  # type: ignore[attr-defined]
