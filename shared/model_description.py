"""The wire contract of a version's whole description: what is known of it, and the evidence for it."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from shared.contract import Segment


class Calibration(TypedDict):
    """Confidence = 1 / (1 + exp(-(intercept + slope * margin))), fitted on this many refits."""

    intercept: float
    slope: float
    refits: int


class Range(TypedDict):
    """A feature's 0.1 % and 99.9 % quantiles in training, in its unit."""

    low: float
    high: float


class LeftOut(TypedDict):
    """A feature that is not part of the distance, as it said nothing about the training customers; ``reason`` says why.

    ``value`` is the one that all of them, or nearly all, had, in the feature's unit; null where it was hardly known.
    """

    feature: str
    reason: str
    value: float | None


class Match(TypedDict):
    """How a segment came to its id: ``kept`` from the parent model (with the centroids' distance) or ``new``."""

    status: str
    distance: float | None


class DataSource(TypedDict):
    """Which data trained the model: a file, or the customers that the gateway had stored at the time ``stored_at``."""

    name: str
    sha256: str
    rows: int
    refused: int
    stored_at: NotRequired[str]


class ReliabilityBin(TypedDict):
    """Customers of one bin of predicted confidence: the mean prediction, and how often held-out refits kept them."""

    low: float
    high: float
    customers: int
    predicted: float
    observed: float


class Elbow(TypedDict):
    """The k at the elbow of the inertia curve (Kneedle), null when it finds none."""

    k: int | None
    detail: str


class Condition(TypedDict):
    """One test on a path of the surrogate tree; ``value`` is in the feature's unit."""

    feature: str
    operator: str
    value: float


class Rule(TypedDict):
    """One line of a segment's rule sheet, best first; its ``conditions`` hold together (a range takes two of them).

    ``operator`` is ``>`` or ``<=``. ``precision`` is the share of the customers the rule covers that belong to the
    segment, ``coverage`` the share of the segment's customers that the rule covers.
    """

    conditions: list[Condition]
    precision: float
    coverage: float
    sentence: str


class Member(TypedDict):
    """A training customer standing for others, without its id: a stored version must not outlive a right to erasure.

    ``line`` is its line in the training file (null where there are none), ``values`` its features in their units.
    """

    line: int | None
    confidence: float
    distance: float
    rival: str
    values: dict[str, float | None]


class Baseline(TypedDict):
    """How a plain on/off rule (buys one-off? in instalments? takes cash?) compares with the model.

    ``eta2`` are mean shares of rank variance of the key figures between segments, ``agreement`` is the adjusted Rand
    index of the two groupings.
    """

    rule: str
    cells: int
    eta2_rule: float
    eta2_model: float
    agreement: float


class DescribedSegment(Segment):
    """A segment, how it came to its id, and what helps to read it, which the first versions lack."""

    match: Match
    rules: NotRequired[list[Rule]]
    typical: NotRequired[list[Member]]
    borderline: NotRequired[list[Member]]


class ModelDescription(TypedDict):
    """A `shared.contract.ModelSummary` and everything else about a version that people read.

    ``features`` are those of the distance, ``left_out`` those that the training left out of it; ``required`` are the
    inputs that a customer must have to be scored. The members from ``elbow`` on, and ``left_out``, are missing in the
    first versions.
    """

    version: str
    created_at: str
    k: int
    rows: int
    features: list[str]
    segments: list[DescribedSegment]
    scores: list[dict[str, Any]]
    data: DataSource
    seed: int
    choice: str
    parent: str | None
    retired: list[str]
    calibration: Calibration
    ranges: dict[str, Range]
    distance_limit: float
    libraries: dict[str, str]
    model_digest: str
    model_sha256: str
    required: NotRequired[list[str]]
    left_out: NotRequired[list[LeftOut]]
    elbow: NotRequired[Elbow]
    remarks: NotRequired[list[str]]
    reliability: NotRequired[list[ReliabilityBin]]
    calibration_error: NotRequired[float]
    fidelity: NotRequired[float]
    baseline: NotRequired[Baseline]
