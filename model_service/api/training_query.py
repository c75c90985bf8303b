"""What the query of ``POST /v1/models`` asks for."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_service.api.errors import validation_failed
from model_service.store.labels import Line, Reason
from shared.model_contract import TrainingOptions
from shared.problems import FieldError

SegmentNumber = Annotated[int, Field(ge=2, le=20)]
"""A number of segments that may be tried."""


class TrainingQuery(BaseModel):
    """The parameters of the query, one attribute each; `k` takes the place of `k_min` and `k_max`."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    k: SegmentNumber | None = Field(None, description="Take this number of segments instead of choosing it")
    k_min: SegmentNumber = Field(3, description="Least number of segments to try")
    k_max: SegmentNumber = Field(8, description="Greatest number of segments to try")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Random seed")
    activate: Literal["true", "false"] = Field(
        "false", description="Make the new version the active one if the gate lets it pass"
    )
    by: Line = Field("", description="Who asks")
    note: Reason = Field("", description="Why, or where the customers come from")


class Asked(NamedTuple):
    """What was asked for, checked."""

    options: TrainingOptions
    by: str
    note: str


def asked(request: Request) -> Asked:
    """Return what the query asks for.

    Raises
    ------
    ApiError
        422 naming each refused parameter as ``?name``.
    """
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    faults = [_fault(name, "is given more than once") for name in dict.fromkeys(names) if names.count(name) > 1]
    if "k" in names:
        faults += [_fault(name, "cannot be given together with k") for name in ("k_min", "k_max") if name in names]
    query = _parsed(dict(given), faults)
    if query and query.k is None and query.k_min > query.k_max:
        faults.append(_fault("k_min", "is greater than k_max"))
    if faults or query is None:
        raise validation_failed(faults)
    low, high = (query.k, query.k) if query.k is not None else (query.k_min, query.k_max)
    options = TrainingOptions(k_min=low, k_max=high, seed=query.seed, activate=query.activate == "true")
    return Asked(options, query.by, query.note)


def _parsed(given: dict[str, str], faults: list[FieldError]) -> TrainingQuery | None:
    try:
        return TrainingQuery.model_validate(given)
    except ValidationError as error:
        faults += [_fault(str(fault["loc"][0]), _said(fault)) for fault in error.errors()]
    return None


def _said(fault: Any) -> str:
    if fault["type"] == "extra_forbidden":
        return "is not a parameter of this request"
    message: str = fault["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _fault(name: str, detail: str) -> FieldError:
    return FieldError(pointer=f"?{name}", detail=detail)
