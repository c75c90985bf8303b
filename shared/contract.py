"""The wire contract between the gateway and the model service: paths, limits and the shapes of answers."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from shared.findings import Finding
from shared.problems import Problem

PREDICT = "/v1/predict"
PREDICT_BATCH = "/v1/predict/batch"
EXPLAIN_MOVE = "/v1/explain-move"
ACTIVE_MODEL = "/v1/models/active"
READY = "/health/ready"
"""Answers ``{"model_version": ...}`` among others: the cheap way to ask which version is active."""

MAX_BATCH = 1_000
"""Most customers in one batch of records."""
MAX_COLUMNAR = 50_000
"""Most customers in one columnar batch."""

BORDERLINE = 0.9
"""Confidence below which a customer counts as borderline between two segments."""


class SegmentRef(TypedDict):
    """A segment as an answer names it: its permanent id and its name in the answering model."""

    id: str
    name: str


class Contribution(TypedDict):
    """What one feature adds to the gap between the rival and the own segment; negative ones speak for the rival.

    ``value`` is the customer's, in the feature's ``unit``; null when it was missing and the training median stood in.
    ``left_out`` says that the feature is not part of the model's distance, so that it adds exactly 0: it said nothing
    about the training customers, or is younger than the model.
    """

    feature: str
    value: float | None
    unit: str
    contribution: float
    left_out: NotRequired[bool]


class Change(TypedDict):
    """One feature's value now (as the model used it) and after a change, in the feature's ``unit``."""

    feature: str
    unit: str
    value: float
    changed: float


class Counterfactual(TypedDict):
    """The smallest change, inside the training range, that moves the customer to the rival.

    One or two features come first in ``changes``; what must go with them follows, so that the changed customer is a
    possible one: it has no warning that the customer did not have. It is what the model reacts to, not advice.
    """

    segment: SegmentRef
    changes: list[Change]
    sentence: str


class Explanation(TypedDict):
    """Why this segment and not the rival.

    ``gap`` is d2^2 - d1^2, the rival's minus the own squared distance in standardised log space, and exactly the sum
    of ``contributions`` (all distance features, largest absolute value first). ``counterfactual`` is null when no
    change of two features, and what goes with them, was found that is enough: the border lies outside the training
    range, a third segment's ground lies there, or the customer could not be so.
    """

    gap: float
    contributions: list[Contribution]
    sentence: str
    counterfactual: Counterfactual | None


class MoveContribution(TypedDict):
    """What the change of one feature did for a move from one segment to another.

    ``before`` and ``after`` are the customer's values, in the feature's ``unit``; null where it was missing, so that
    the training median stood in. A positive ``contribution`` brought the customer nearer to the segment it moved to, a
    negative one speaks for the one it left; ``share`` (0-1) is its part of all that the changes did in either
    direction. ``sentence`` says the change in words. ``left_out`` says that the feature is not part of the model's
    distance, so that it did exactly nothing.
    """

    feature: str
    unit: str
    before: float | None
    after: float | None
    contribution: float
    share: float
    sentence: str
    left_out: NotRequired[bool]


MoveExplanation = TypedDict(
    "MoveExplanation",
    {
        "model_version": str,
        "from": SegmentRef,
        "to": SegmentRef,
        "change": float,
        "contributions": list[MoveContribution],
        "sentence": str,
    },
)
"""Why a customer whose data changed moved from one segment to another.

The gap of a customer between the two is by how much its squared distance to ``from`` is greater than that to ``to``, in
standardised log space. ``change`` is how much the gap has grown by what changed, and exactly the sum of
``contributions`` (largest absolute value first); the features that stayed the same add nothing to it. Where it is not
positive, the data do not explain the move.
"""


class Prediction(TypedDict):
    """Which segment a customer belongs to, and how clearly.

    ``distance`` is Euclidean in the model's standardised log space; ``margin`` is how much farther the rival's
    centroid lies. ``confidence`` is the calibrated probability (0-1) that the customer keeps this segment if the
    model is refitted on a similar sample; below `BORDERLINE` the customer is ``borderline``. ``rival`` is null only for
    a model of one segment.
    """

    segment: SegmentRef
    cluster: int
    confidence: float
    borderline: bool
    rival: SegmentRef | None
    distance: float
    margin: float
    model_version: str
    imputed: list[str]
    warnings: list[Finding]
    explanation: NotRequired[Explanation]


class RowError(TypedDict):
    """In a batch's answer, the place of a row that could not be scored."""

    error: Problem


class BatchAnswer(TypedDict):
    """Answer to ``{"customers": [...]}``: a prediction or an error for each, in the order asked."""

    predictions: list[Prediction | RowError]


class ColumnarAnswer(TypedDict):
    """Answer to ``{"columns": {FEATURE: [...]}}``; every list has one entry per row, in the order asked.

    ``cluster`` and ``rival`` index ``segments``; ``rival`` is -1 where there is none.
    """

    model_version: str
    segments: list[SegmentRef]
    cluster: list[int]
    rival: list[int]
    confidence: list[float]
    distance: list[float]
    margin: list[float]


class Quartiles(TypedDict):
    """A feature inside one segment, in the feature's unit; ``z`` is the mean's distance from the base in SDs."""

    mean: float
    q25: float
    median: float
    q75: float
    z: float


class Segment(TypedDict):
    """A segment of one model version. ``size`` and ``share`` (0-1) are those of the training data.

    ``name`` is the one a person gave, else the one made by rule when the segment was first found; ``derived_name`` is
    what the rules call it in this version. ``name_warning`` says why a person's name may no longer fit. ``actions`` are
    a person's, too, else the ``derived_actions``. Whoever said any of that last did so at ``labelled_at``.
    """

    id: str
    name: str
    derived_name: NotRequired[str]
    description: NotRequired[str | None]
    owner: NotRequired[str | None]
    name_warning: NotRequired[str | None]
    cluster: int
    size: int
    share: float
    actions: list[str]
    derived_actions: NotRequired[list[str]]
    labelled_at: NotRequired[str | None]
    labelled_by: NotRequired[str | None]
    profile: dict[str, Quartiles]


class ModelSummary(TypedDict):
    """A model version, as ``GET /v1/models/active`` answers it."""

    version: str
    created_at: str
    k: int
    rows: int
    features: list[str]
    segments: list[Segment]
    scores: NotRequired[list[dict[str, Any]]]
