"""What a request to erase a customer says."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.features import CUST_ID_PATTERN, cust_id_fault


def _sound(cust_id: str) -> str:
    if fault := cust_id_fault(cust_id):
        raise ValueError(fault)
    return cust_id


class ErasureOrder(BaseModel):
    """Whose id is to be erased."""

    model_config = ConfigDict(extra="forbid", strict=True)

    CUST_ID: Annotated[
        str,
        AfterValidator(_sound),
        Field(description="The customer's id", json_schema_extra={"pattern": f"^{CUST_ID_PATTERN}$"}),
    ]
