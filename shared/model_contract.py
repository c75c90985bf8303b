"""The wire contract of the model's life: versions, training, activation, labels, preview and drift."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

MODELS = "/v1/models"
TRAININGS = "/v1/trainings"
ACTIVATIONS = "/v1/activations"
SEGMENTS = "/v1/segments"
PLOTS = "/v1/plots"
INTERFACE = "/openapi.json"
ERASURES = "/v1/erasures"

ACTIVE = "active"
"""Stands for the active version wherever an address or a query names one."""

CSV = "text/csv"
TSV = "text/tab-separated-values"
PARQUET = "application/vnd.apache.parquet"
NDJSON = "application/x-ndjson"
"""Of column blocks, for preview and drift: each line is ``{"ids": [...], "columns": {FEATURE: [...]}}``, ``ids``
optional, with at most `shared.contract.MAX_COLUMNAR` rows."""


class Erased(TypedDict):
    """How many training records and logs quoted a customer's id and do so no more."""

    erased: int


class ModelEntry(TypedDict):
    """One line of the list of versions. ``status`` tells whether it is active, was so once, or never was."""

    version: str
    created_at: str
    status: Literal["active", "former", "candidate", "damaged"]
    k: int | None
    rows: int | None
    data: str | None
    parent: str | None
    segments: list[dict[str, Any]]


class ModelList(TypedDict):
    """All versions, newest first, which is active, and which serves: another one while the active one is damaged.

    ``rollback_to`` is the version that a rollback would make the active one, null where none was active before.
    """

    items: list[ModelEntry]
    active: str | None
    serving: str | None
    rollback_to: NotRequired[str | None]


class GateCheck(TypedDict):
    """One of the questions asked before an activation."""

    check: Literal["artefact", "stability", "smallest_share", "match", "names"]
    passed: bool
    detail: str


class Gate(TypedDict):
    """Whether `version` may replace `against`, the version active now (null when there is none)."""

    version: str
    against: str | None
    passed: bool
    checks: list[GateCheck]


EVENT_HEADER = "Event-Id"
"""With an activation or a rollback: the id that it is to have in the history."""


class Activation(TypedDict):
    """One entry in the history of activations. ``forced`` means that the gate was overruled.

    ``id`` is the entry's own, ``number`` its place in the history (from 1), and ``before`` the version that was active
    until then, null if none was. Entries that were made before there were such members lack them.
    """

    version: str
    at: str
    kind: Literal["activate", "rollback"]
    reason: str
    by: str
    forced: bool
    id: NotRequired[str]
    number: NotRequired[int]
    before: NotRequired[str | None]


class Progress(TypedDict):
    """How far a training is; ``total`` is 0 until it is known."""

    phase: str
    done: int
    total: int


class TrainingOptions(TypedDict):
    """What a training was told: the range of k, the seed, and whether to activate what it makes.

    ``columns`` are the names in the file of columns whose own it does not have, by column.
    """

    k_min: int
    k_max: int
    seed: int
    activate: bool
    columns: NotRequired[dict[str, str]]


STORED_CUSTOMERS = "the customers stored in the gateway"
"""What a training calls them in place of a file's name."""


class Training(TypedDict):
    """A training: a background process with a record. ``reason`` says why it failed or was not activated.

    ``data`` is the name of the file, as far as it is known, or says that these are stored customers; ``stored`` says so
    too, and is missing in records from before it was asked.
    """

    id: str
    status: Literal["queued", "running", "completed", "failed", "cancelled"]
    created_at: str
    started_at: str | None
    finished_at: str | None
    by: str
    note: str
    options: TrainingOptions
    data: str
    stored: NotRequired[bool]
    bytes: int
    progress: Progress
    version: str | None
    activated: bool
    reason: str | None


class Label(TypedDict):
    """What a person said of a segment, by its permanent id, and what the rules called it when it was named.

    ``changed_at`` and ``changed_by`` are null as long as nobody said anything; ``derived_name`` is that of now, then.
    Where ``actions`` are null, those made by rule hold.
    """

    name: str | None
    description: str | None
    owner: str | None
    actions: NotRequired[list[str] | None]
    derived_name: str
    changed_at: str | None
    changed_by: str | None


class FeatureDrift(TypedDict):
    """How one feature's distribution differs from training.

    ``psi`` is the population stability index over ``bins`` bins, one of them for missing values where there are any;
    up to ``limit`` (chi-square, Bonferroni over the features) it is noise. ``tier`` combines that with materiality.
    """

    feature: str
    psi: float
    limit: float
    bins: int
    tier: Literal["none", "detected", "material", "severe"]


class MixDrift(TypedDict):
    """How the shares of the segments differ from training; shares, and what the segments are called, by segment id."""

    psi: float
    limit: float
    tier: Literal["none", "detected", "material", "severe"]
    training: dict[str, float]
    now: dict[str, float]
    names: NotRequired[dict[str, str]]


class DistanceDrift(TypedDict):
    """How far customers lie from their centroid: medians in training and now, and their ratio ``inflation``.

    ``beyond_limit`` is the share of customers beyond the distance that 0.1 % of the training customers exceed.
    """

    training_median: float
    median: float
    inflation: float
    beyond_limit: float


class Drift(TypedDict):
    """Whether the customers of now are those the model was trained on.

    ``features`` come from the most shifted on. Below ``minimum_rows`` there is no verdict: ``features`` is empty, and
    ``segment_mix`` and ``distance`` are null.
    """

    model_version: str
    verdict: Literal["stable", "watch", "retrain", "not_enough_data"]
    rows: int
    minimum_rows: int
    as_of: str
    features: list[FeatureDrift]
    segment_mix: MixDrift | None
    distance: DistanceDrift | None
    remarks: list[str]


class Mover(TypedDict):
    """A customer whom the candidate puts into another segment, with how sure each model is."""

    CUST_ID: str | None
    before: str
    after: str
    confidence_before: float
    confidence_after: float
    balance: float
    credit_limit: float | None


class Moved(TypedDict):
    """How many customers move and how much of the base's money they hold; shares are 0 to 1."""

    customers: int
    share: float
    balance: float
    balance_share: float
    credit_limit: float
    credit_limit_share: float


class PreviewSegment(TypedDict):
    """A row or column of the transition matrix; ``new`` ids are the candidate's alone, ``retired`` the active's."""

    id: str
    name: str
    status: Literal["kept", "new", "retired"]


class Preview(TypedDict):
    """Who moves if `candidate` replaces `active`.

    ``transitions[i][j]`` counts customers that go from ``before[i]`` to ``after[j]``. ``customers`` are the most
    affected: of those who move, first whom both versions are sure of, by balance.
    """

    candidate: str
    active: str
    rows: int
    as_of: str
    moved: Moved
    before: list[PreviewSegment]
    after: list[PreviewSegment]
    transitions: list[list[int]]
    customers: list[Mover]
    remarks: NotRequired[list[str]]


Edition = Literal["validation", "marketing"]
"""For whom a report is: those who check a version, or those who work with its segments."""


class Plot(TypedDict):
    """A stored picture of a version; ``svg`` and ``png`` are addresses below the version's own.

    ``caption`` says how to read it; the first versions have none.
    """

    name: str
    title: str
    caption: NotRequired[str]
    svg: str
    png: str


REFUSALS = {
    "malformed_json": 400,
    "version_not_found": 404,
    "segment_not_found": 404,
    "training_not_found": 404,
    "report_not_found": 404,
    "plot_not_found": 404,
    "request_timeout": 408,
    "artefact_damaged": 409,
    "signature_refused": 409,
    "incompatible_model": 409,
    "labels_differ": 409,
    "no_evidence": 409,
    "gate_refused": 409,
    "nothing_to_roll_back": 409,
    "name_taken": 409,
    "label_changed": 409,
    "labels_damaged": 409,
    "training_running": 409,
    "training_ended": 409,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "validation_failed": 422,
    "analysis_busy": 503,
    "store_not_writable": 507,
}
"""What the model service refuses and a client of the gateway hears: the code of each problem and its status."""
