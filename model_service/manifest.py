"""What is written beside a model: everything about a version that is not the fitted pipeline itself."""

from __future__ import annotations

from typing import Any, TypedDict

from shared.contract import Quartiles


class Calibration(TypedDict):
    """Confidence = 1 / (1 + exp(-(intercept + slope * margin))), fitted on this many refits."""

    intercept: float
    slope: float
    refits: int


class Range(TypedDict):
    """A feature's 0.1 % and 99.9 % quantiles in training, in its unit."""

    low: float
    high: float


class Match(TypedDict):
    """How a segment came to its id: ``kept`` from the parent model (with the centroids' distance) or ``new``."""

    status: str
    distance: float | None


class StoredSegment(TypedDict):
    """A segment with what only the registry needs: the name made by rule, and its match to the parent."""

    id: str
    name: str
    derived_name: str
    cluster: int
    size: int
    share: float
    actions: list[str]
    profile: dict[str, Quartiles]
    match: Match


class DataSource(TypedDict):
    """Which data trained the model."""

    name: str
    sha256: str
    rows: int
    refused: int


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


class SegmentEvidence(TypedDict):
    """What helps to read one segment: its rule sheet and some of its members."""

    rules: list[Rule]
    typical: list[Member]
    borderline: list[Member]


class Histogram(TypedDict):
    """A feature's training distribution for drift.

    ``edges`` are the inner edges of the bins (values equal to an edge fall to its right), ``counts`` has one entry
    more than ``edges``, ``missing`` counts the customers without a value.
    """

    edges: list[float]
    counts: list[int]
    missing: int


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


class Evidence(TypedDict):
    """What makes a version understandable and comparable; serving does not need it.

    ``remarks`` say in words where the scores disagree about k. ``segments`` is by segment id. ``calibration_error`` is
    the largest absolute error of a bin in ``reliability``. ``fidelity`` is the share of held-out customers (five folds)
    for whom the surrogate tree's segment is the model's, ``distances`` are the training customers' distances to their
    centroid at the quantiles 0, 0.01, ..., 1.
    """

    elbow: Elbow
    remarks: list[str]
    reliability: list[ReliabilityBin]
    calibration_error: float
    fidelity: float
    segments: dict[str, SegmentEvidence]
    histograms: dict[str, Histogram]
    distances: list[float]
    baseline: Baseline


class _Core(TypedDict):
    """What every version has: serving needs no more."""

    version: str
    created_at: str
    seed: int
    k: int
    rows: int
    data: DataSource
    libraries: dict[str, str]
    features: list[str]
    parameters: dict[str, Any]
    ranges: dict[str, Range]
    distance_limit: float
    calibration: Calibration
    choice: str
    scores: list[dict[str, Any]]
    segments: list[StoredSegment]
    parent: str | None
    retired: list[str]
    next_segment_number: int
    sample: list[list[float | None]]
    model_digest: str
    model_sha256: str


class Manifest(_Core, total=False):
    """The content of ``manifest.json``; versions made before there was any have no ``evidence``."""

    evidence: Evidence
