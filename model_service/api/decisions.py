"""What a request to activate a version, or to roll back, may say."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from model_service.store.active_file import UNKNOWN
from model_service.store.labels import Line, Reason


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
