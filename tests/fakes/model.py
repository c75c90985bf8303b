"""The `Model` port with two segments and scripted failures; `contracts.model` compares it with the one over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.services.customers.customer import Features
from gateway.services.errors import (
    ModelMalformed,
    ModelRefused,
    ModelServiceError,
    ModelTimeout,
    ModelUnavailable,
    RegistryRefusal,
)
from gateway.services.models.model import DEFAULT_OPTIONS, ModelStatus, Move, PredictionOptions
from shared.contract import (
    ColumnarAnswer,
    Explanation,
    ModelSummary,
    MoveExplanation,
    Prediction,
    RowError,
    Segment,
    SegmentRef,
)
from shared.features import BY_NAME, DISTANCE_NAMES, REQUIRED_NAMES, lacking
from shared.model_contract import ACTIVE

DOWN = ModelUnavailable("The model service cannot be reached.")
SLOW = ModelTimeout("The model service did not answer in time")
MALFORMED = ModelMalformed("the model service's answer breaks the contract")

SEGMENTS: list[SegmentRef] = [{"id": "seg-01", "name": "Low balance"}, {"id": "seg-02", "name": "High balance"}]
OTHER = "20240201T000000Z-00000002"
"""A version that predicts when it is asked for by name."""
LIMIT = 1_000.0
"""Customers with this BALANCE and more are in the second segment."""


class FakeModel:
    """Two segments, split by BALANCE.

    Attributes
    ----------
    current : the active model's version.
    failure : raised by every call while it is set.
    calls : (method, number of customers) in the order of the calls, failed ones too.
    deadlines : those that callers of `predict` gave.
    meanwhile : called in the middle of every call: what others do while a caller waits for the model.
    fallback, labels : what is damaged.
    required : inputs that customers must have.
    rival : answered by `score` in place of the real one, such as -1 for none.
    """

    def __init__(self, version: str = "v1") -> None:
        self.current = version
        self.fallback: str | None = None
        self.labels: str | None = None
        self.failure: ModelServiceError | None = None
        self.calls: list[tuple[str, int]] = []
        self.deadlines: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.rival: int | None = None
        self.required: tuple[str, ...] | None = REQUIRED_NAMES

    def predict(self, features: Features, deadline: float, options: PredictionOptions = DEFAULT_OPTIONS) -> Prediction:
        self.deadlines.append(deadline)
        self._note("predict", 1)
        return self._prediction(features, options)

    def predict_batch(
        self, customers: Sequence[Features], deadline: float, options: PredictionOptions = DEFAULT_OPTIONS
    ) -> list[Prediction | RowError]:
        self.deadlines.append(deadline)
        self._note("predict_batch", len(customers))
        return [self._prediction(c, options) for c in customers]

    def score(
        self, columns: Mapping[str, Sequence[float | int | None]], deadline: float | None = None
    ) -> ColumnarAnswer:
        assert set(columns) == set(DISTANCE_NAMES)
        if deadline is not None:
            self.deadlines.append(deadline)
        rows = len(columns["BALANCE"])
        self._note("score", rows)
        if any(None in columns[name] for name in self.required or ()):
            raise ModelRefused("a customer lacks what the model needs")
        clusters = [cluster_of(balance) for balance in columns["BALANCE"]]
        return ColumnarAnswer(
            model_version=self.current,
            segments=SEGMENTS,
            cluster=clusters,
            rival=[1 - cluster if self.rival is None else self.rival for cluster in clusters],
            confidence=[0.95] * rows,
            distance=[1.0] * rows,
            margin=[0.5] * rows,
        )

    def version(self) -> str:
        self._note("version", 0)
        return self.current

    def status(self) -> ModelStatus:
        return ModelStatus(self.version(), self.fallback, self.labels, self.required)

    def active(self, deadline: float | None = None) -> ModelSummary:
        if deadline is not None:
            self.deadlines.append(deadline)
        self._note("active", 0)
        return ModelSummary(
            version=self.current,
            created_at="2024-01-01T00:00:00Z",
            k=len(SEGMENTS),
            rows=100,
            features=list(DISTANCE_NAMES),
            segments=[_segment(cluster, ref) for cluster, ref in enumerate(SEGMENTS)],
        )

    def explain_move(self, move: Move, deadline: float) -> MoveExplanation:
        self.deadlines.append(deadline)
        self._note("explain_move", 1)
        self._known(move.version)
        names = {segment["id"]: segment for segment in SEGMENTS}
        for segment in (move.origin, move.destination):
            if segment not in names:
                raise RegistryRefusal(404, "segment_not_found", f"there is no segment {segment!r}")
        return move_explanation(move, names[move.origin], names[move.destination])

    def _known(self, version: str | None) -> None:
        if version not in (None, ACTIVE, self.current, OTHER):
            raise RegistryRefusal(404, "version_not_found", f"there is no version {version!r}")

    def _note(self, method: str, rows: int) -> None:
        self.calls.append((method, rows))
        self.meanwhile()
        if self.failure:
            raise self.failure

    def _prediction(self, features: Features, options: PredictionOptions) -> Prediction:
        if lacking(features, self.required or ()):
            raise ModelRefused("the customer lacks what the model needs")
        self._known(options.version)
        cluster = cluster_of(features["BALANCE"])
        prediction = Prediction(
            segment=SEGMENTS[cluster],
            cluster=cluster,
            confidence=0.95,
            borderline=False,
            rival=SEGMENTS[1 - cluster],
            distance=1.0,
            margin=0.5,
            model_version=OTHER if options.version == OTHER else self.current,
            imputed=[name for name in DISTANCE_NAMES if features.get(name) is None],
            warnings=[],
        )
        return prediction | {"explanation": explanation(features, cluster)} if options.explain else prediction


def cluster_of(balance: Any) -> int:
    """Return the cluster index of a customer with this BALANCE."""
    return int(balance >= LIMIT)


def explanation(features: Features, cluster: int) -> Explanation:
    """Explain by BALANCE alone why a customer is in this cluster."""
    limit = {"feature": "BALANCE", "unit": "currency units", "value": features["BALANCE"], "changed": LIMIT}
    moves = {"segment": SEGMENTS[1 - cluster], "changes": [limit], "sentence": "The customer moves at 1,000."}
    reason = {"feature": "BALANCE", "value": features["BALANCE"], "unit": "currency units", "contribution": 0.75}
    return Explanation(
        gap=0.75,
        contributions=[reason],  # type: ignore[list-item]
        sentence=f"In {SEGMENTS[cluster]['name']}.",
        counterfactual=None if cluster else moves,  # type: ignore[typeddict-item]
    )


def move_explanation(move: Move, origin: SegmentRef, destination: SegmentRef) -> MoveExplanation:
    """Explain a move by BALANCE alone."""
    counting = move.changes.get("BALANCE", (0, 0))
    change = float(counting[1] or 0) - float(counting[0] or 0)
    return {
        "model_version": move.version,
        "from": origin,
        "to": destination,
        "change": change,
        "contributions": [
            {
                "feature": name,
                "unit": BY_NAME[name].unit,
                "before": before,
                "after": after,
                "contribution": change if name == "BALANCE" else 0.0,
                "share": float(name == "BALANCE"),
                "sentence": f"{name} is {after} instead of {before}.",
            }
            for name, (before, after) in move.changes.items()
        ],
        "sentence": f"Moved from {origin['name']} to {destination['name']}.",
    }


def _segment(cluster: int, ref: SegmentRef) -> Segment:
    quartiles = {name: {"mean": 1.0, "q25": 0.5, "median": 1.0, "q75": 1.5, "z": 0.1} for name in DISTANCE_NAMES}
    return Segment(**ref, cluster=cluster, size=50, share=0.5, actions=["Call them"], profile=quartiles)  # type: ignore[typeddict-item]
