"""The gate: whether a version is good enough to replace the active one.

A check fails where the candidate is both below what a good model needs and worse than the active model. Thresholds
and evidence: docs/clustering-study.md, §2 (stability, smallest share) and §6 (distance between matched segments).
"""

from __future__ import annotations

from typing import Literal

from model_service.store.comparison import Centroids, distances
from model_service.store.labels import Labels, name_key, names_by_id
from model_service.store.manifest import Manifest
from shared.model_contract import GateCheck

MIN_STABILITY = 0.85
"""Mean adjusted Rand index between two fits on disjoint halves that makes a number of segments stable."""
MIN_SHARE = 0.05
"""Share of the customers that makes a segment large enough."""
MAX_DISTANCE = 1.0
"""Distance between two fits' centroids, in standardised log space, up to which they are the same segment."""


def judge(candidate: Manifest, active: Manifest | None, labels: Labels) -> list[GateCheck]:
    """Check all that the manifests show: stability, smallest share, match and names.

    Parameters
    ----------
    active : of the model to be replaced; None when there is none, and all is well but equal names.
    labels : what people call the segments.
    """
    return [
        _stability(candidate, active),
        _smallest_share(candidate, active),
        _match(candidate, active),
        _names(candidate, labels),
    ]


def _stability(candidate: Manifest, active: Manifest | None) -> GateCheck:
    found = _measured_stability(candidate)
    if active is None:
        return _check("stability", True, "there is no active model to compare with")
    theirs = _measured_stability(active)
    least = MIN_STABILITY if theirs is None else min(MIN_STABILITY, theirs)
    if found is None:
        return _check(
            "stability",
            False,
            f"the stability of k = {candidate['k']} was not measured; at least {least:.3f} is required",
        )
    return _check("stability", found >= least, f"the mean stability is {found:.3f}; at least {least:.3f} is required")


def _measured_stability(manifest: Manifest) -> float | None:
    return next((s.get("stability_mean") for s in manifest["scores"] if s["k"] == manifest["k"]), None)


def _smallest_share(candidate: Manifest, active: Manifest | None) -> GateCheck:
    if active is None:
        return _check("smallest_share", True, "there is no active model to compare with")
    smallest = min(candidate["segments"], key=lambda s: s["share"])
    least = min(MIN_SHARE, *(s["share"] for s in active["segments"]))
    detail = f"{smallest['id']} has {smallest['share']:.2%} of the customers; at least {least:.2%} is required"
    return _check("smallest_share", smallest["share"] >= least, detail)


def _match(candidate: Manifest, active: Manifest | None) -> GateCheck:
    if active is None:
        return _check("match", True, "there is no active model whose segments would have to be kept")
    apart = distances(Centroids.of(candidate), Centroids.of(active))
    if apart is None:
        return _check("match", False, f"{active['version']} has other features, so its segments cannot be compared")
    clusters = {s["id"]: s["cluster"] for s in candidate["segments"]}
    faults = []
    for segment in active["segments"]:
        identity = segment["id"]
        if identity not in clusters:
            faults.append(f"{identity} would be retired")
            continue
        distance = float(apart[clusters[identity], segment["cluster"]])
        if not distance <= MAX_DISTANCE:
            moves = f"its centroid moves by {distance:.2f}, at most {MAX_DISTANCE} is allowed"
            faults.append(f"{identity} would become a different segment ({moves})")
    return _check("match", not faults, "; ".join(faults) or f"all segments of {active['version']} are kept")


def _names(candidate: Manifest, labels: Labels) -> GateCheck:
    by_key: dict[str, list[tuple[str, str]]] = {}
    for identity, name in names_by_id(candidate["segments"], labels).items():
        by_key.setdefault(name_key(name), []).append((identity, name))
    shared = [same for same in by_key.values() if len(same) > 1]
    faults = [f"{' and '.join(identity for identity, _ in same)} are both called {same[0][1]!r}" for same in shared]
    return _check("names", not faults, "; ".join(faults) or "every segment has a name of its own")


def _check(check: Literal["stability", "smallest_share", "match", "names"], passed: bool, detail: str) -> GateCheck:
    return GateCheck(check=check, passed=passed, detail=detail)
