"""What is written beside a model: everything about a version that is not the fitted pipeline itself."""

from __future__ import annotations

from typing import Any, TypedDict

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


class Match(TypedDict):
    """How a segment came to its id: ``kept`` from the parent model (with the centroids' distance) or ``new``."""

    status: str
    distance: float | None


class StoredSegment(Segment):
    """A segment with what only the registry needs: the name made by rule, and its match to the parent."""

    derived_name: str
    match: Match


class DataSource(TypedDict):
    """Which data trained the model."""

    name: str
    sha256: str
    rows: int
    refused: int


class Manifest(TypedDict):
    """The content of ``manifest.json``."""

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
