"""The whole description of a version, as the model service gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fakes.model import FakeModel

from shared.features import DISTANCE_NAMES
from shared.model_description import DescribedSegment, ModelDescription, Rule

RULE: Rule = {
    "conditions": [{"feature": "BALANCE", "operator": ">", "value": 1000.0}],
    "precision": 0.9,
    "coverage": 0.8,
    "sentence": "BALANCE is high",
}

_SAID = {"name": "name", "description": "description", "owner": "owner", "actions": "actions"}
_SAID |= {"changed_at": "labelled_at", "changed_by": "labelled_by"}


def described(version: str, labels: Mapping[str, Mapping[str, Any]]) -> ModelDescription:
    """Return the description of a version whose segments people have labelled so."""
    active = FakeModel(version).active()
    segments: list[DescribedSegment] = []
    for segment in active["segments"]:
        said = {_SAID[k]: v for k, v in labels.get(segment["id"], {}).items() if v is not None and k in _SAID}
        derived = {"derived_name": segment["name"], "derived_actions": segment["actions"]}
        found = {**segment, **derived, "match": {"status": "new", "distance": None}, **said}
        segments.append({**found, "rules": [RULE], "typical": []})  # type: ignore[typeddict-item]
    return ModelDescription(
        version=version,
        created_at=active["created_at"],
        k=active["k"],
        rows=active["rows"],
        features=active["features"],
        segments=segments,
        scores=[{"k": 2, "silhouette": 0.2}],
        data={"name": "customers.csv", "sha256": "0" * 64, "rows": 100, "refused": 0},
        seed=0,
        choice="k was given",
        parent=None,
        retired=[],
        calibration={"intercept": 0.0, "slope": 1.0, "refits": 20},
        ranges={name: {"low": 0.0, "high": 1.0} for name in DISTANCE_NAMES},
        distance_limit=9.0,
        libraries={"scikit-learn": "1.7.0"},
        model_digest="0" * 64,
        model_sha256="0" * 64,
        remarks=["k was given"],
    )
