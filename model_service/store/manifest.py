"""What is written beside a model: everything about a version that is not the fitted pipeline itself."""

from __future__ import annotations

from typing import Any, TypedDict

from shared.contract import Quartiles
from shared.model_description import (
    Baseline,
    Calibration,
    DataSource,
    Elbow,
    LeftOut,
    Match,
    Member,
    Range,
    ReliabilityBin,
    Rule,
)

UTILISATION = "UTILISATION"
"""In profiles: the share of the credit limit in use, ``BALANCE / CREDIT_LIMIT``."""


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
    """The content of ``manifest.json``.

    ``features`` are those of the distance, in the order of the parameters. ``sample_clusters`` are the clusters into
    which the fitted pipeline puts the rows of ``sample``; only versions from before signatures, which must be taken
    over before they serve, have none. Versions made before there was any have no ``evidence``, and no ``left_out``: all
    features of their time are in the distance.
    """

    sample_clusters: list[int]

    evidence: Evidence
    left_out: list[LeftOut]
