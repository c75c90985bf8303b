"""Trainings: start one from an uploaded file, follow it, stop it, and erase a customer's id from all records."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import PlainTextResponse, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from model_service.api.bodies import StrictRoute, media_type, receive
from model_service.api.dependencies import Jobs, TheSettings, each_once, no_query
from model_service.api.errors import validation_failed
from model_service.api.openapi import BAD_BODY, NO_QUERY, links, problems
from model_service.metrics import training_ended
from model_service.store.labels import Line, Reason
from model_service.training_jobs.folder import UPLOADS
from model_service.training_jobs.jobs import Draft, TrainingJobs, start_process
from shared.customer_files.header import COLUMNS_HELP, read_mapping
from shared.features import CUST_ID, CUST_ID_PATTERN, INPUTS, cust_id_fault
from shared.model_contract import (
    CSV,
    ERASURES,
    MODELS,
    STORED_CUSTOMERS,
    TRAININGS,
    Erased,
    Training,
    TrainingOptions,
)
from shared.problems import FieldError

uploads = APIRouter()
router = APIRouter(route_class=StrictRoute, dependencies=[no_query], responses=NO_QUERY)

_FILE = {"type": "string", "format": "binary"}
_EXAMPLE = "\n".join([",".join(f.name for f in INPUTS), ",".join(str(f.minimum + 1) for f in INPUTS), ""])
_columns = f"The columns {', '.join(f.name for f in INPUTS)}, and {CUST_ID} if there are ids"
_of_trainings = ("follow_training", "read_training_log", "cancel_training")
_NOT_FOUND = {"s404": "No training with this id is on record"}

Identity = Annotated[str, Path(alias="id")]
SegmentNumber = Annotated[int, Field(ge=2, le=20)]
"""A number of segments that may be tried."""


def _mapping(text: str | None) -> str | None:
    if text is not None:
        read_mapping(text)
    return text


class TrainingQuery(BaseModel):
    """The parameters of a training, one attribute each; `k` takes the place of `k_min` and `k_max`."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    k: SegmentNumber | None = Field(None, description="Use this number of segments instead of choosing one")
    k_min: SegmentNumber = Field(3, description="Smallest number of segments to try")
    k_max: SegmentNumber = Field(8, description="Largest number of segments to try")
    columns: Annotated[str | None, AfterValidator(_mapping)] = Field(None, description=COLUMNS_HELP)
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Random seed")
    activate: Literal["true", "false"] = Field("false", description="Activate the new version if it passes the gate")
    by: Line = Field("", description="Who starts the training")
    note: Reason = Field("", description="Why, or where the data come from")
    name: Line = Field("", description="Name of the file, for the report")

    @field_validator("k_min", "k_max")
    @classmethod
    def _not_beside_k(cls, value: int, info: ValidationInfo) -> int:
        if info.data.get("k") is not None:
            raise ValueError("cannot be given together with k")
        return value

    def options(self) -> TrainingOptions:
        """Return the options of the training.

        Raises
        ------
        ApiError
            422 when the range of k is empty.
        """
        low, high = (self.k_min, self.k_max) if self.k is None else (self.k, self.k)
        if low > high:
            raise validation_failed([FieldError(pointer="?k_min", detail="is greater than k_max")])
        options = TrainingOptions(k_min=low, k_max=high, seed=self.seed, activate=self.activate == "true")
        if self.columns is not None:
            options["columns"] = dict(read_mapping(self.columns))
        return options


class UploadQuery(TrainingQuery):
    """The parameters of a training, and what only the gateway knows of the file it hands over."""

    stored: Literal["true", "false"] = Field(
        "false", description="The file holds the customers that the gateway has stored; the report says so"
    )

    def called(self, kind: str) -> str:
        """Return what the customers are called, who come in a file of this media type."""
        return STORED_CUSTOMERS if self.stored == "true" else self.name or UPLOADS[kind]


def _sound(cust_id: str) -> str:
    if fault := cust_id_fault(cust_id):
        raise ValueError(fault)
    return cust_id


class Erasure(BaseModel):
    """Whose id is to be erased."""

    model_config = ConfigDict(extra="forbid", strict=True)

    CUST_ID: Annotated[
        str,
        AfterValidator(_sound),
        Field(description="The customer's id", json_schema_extra={"pattern": f"^{CUST_ID_PATTERN}$"}),
    ]


@uploads.post(
    MODELS,
    status_code=202,
    dependencies=[each_once],
    response_model=Training,
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": _columns,
            "content": {CSV: {"schema": _FILE, "example": _EXAMPLE}}
            | {kind: {"schema": _FILE} for kind in UPLOADS if kind != CSV},
        },
    },
    responses={
        202: {"links": links("/id", "id", *_of_trainings)},
        **problems(
            s408="The client sent nothing for too long",
            s409="A training is running already; the detail has its id",
            s413="File too large",
            s415="Neither CSV, NDJSON nor Parquet, or not in UTF-8",
            s422="Parameters that are not allowed, each as ?name, or an empty file",
            s507="The model store has no space for the file",
        ),
    },
)
async def train(
    request: Request, response: Response, query: Annotated[UploadQuery, Query()], jobs: Jobs, settings: TheSettings
) -> Training:
    """Train a model on an uploaded file of customers, as a background process."""
    options = query.options()
    kind = media_type(request, UPLOADS, settings.max_upload_bytes)
    await asyncio.to_thread(jobs.refuse_second)  # now rather than after a gigabyte
    draft = await asyncio.to_thread(jobs.draft)
    try:
        size = await receive(request, draft.folder.path / UPLOADS[kind], settings.max_upload_bytes)
    except BaseException:  # a client that left, too
        await asyncio.to_thread(jobs.discard, draft)
        raise
    record = await asyncio.to_thread(_begin, jobs, draft, query, options, query.called(kind), size)
    response.headers["location"] = f"{TRAININGS}/{record['id']}"
    return record


def _begin(
    jobs: TrainingJobs, draft: Draft, query: UploadQuery, options: TrainingOptions, name: str, size: int
) -> Training:
    job = jobs.begin(draft, query.by, query.note, options, name, size, query.stored == "true")
    start_process(jobs, job, training_ended)
    return job.record


@router.get(TRAININGS, response_model=dict[str, list[Training]])
def list_trainings(jobs: Jobs) -> dict[str, list[Training]]:
    """List the latest trainings, newest first."""
    return {"items": jobs.records()}


@router.get(
    TRAININGS + "/{id}", operation_id="follow_training", response_model=Training, responses=problems(**_NOT_FOUND)
)
def get_training(identity: Identity, jobs: Jobs) -> Training:
    """Read how far a training is, or how it ended."""
    return jobs.get(identity)


@router.get(
    TRAININGS + "/{id}/log",
    operation_id="read_training_log",
    response_class=PlainTextResponse,
    response_description="The log",
    responses=problems(**_NOT_FOUND),
)
def get_log(identity: Identity, jobs: Jobs) -> Any:
    """Read the log of a training."""
    return PlainTextResponse(jobs.log(identity))


@router.post(
    TRAININGS + "/{id}/cancel",
    operation_id="cancel_training",
    status_code=202,
    response_model=Training,
    responses=problems(**_NOT_FOUND, s409="The training has ended already"),
)
def cancel_training(identity: Identity, jobs: Jobs) -> Training:
    """Ask a training to stop; it does so within a second or so."""
    return jobs.cancel(identity)


@router.post(
    ERASURES,
    response_model=Erased,
    responses=problems(
        **BAD_BODY,
        s409="A training is running or its customers are being uploaded, which may include this one; try again later",
        s507="The model store cannot be written: its disk is full or read-only",
    ),
)
def erase(erasure: Erasure, jobs: Jobs) -> Erased:
    """Erase a customer's id from the records and logs of trainings."""
    return Erased(erased=jobs.erase(erasure.CUST_ID))
