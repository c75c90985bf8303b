"""Permanent segment ids: matching a new model's segments to those of its parent.

Centroids are compared in the parent's standardised log space by the Hungarian method (Kuhn 1955). Up to a distance of
1.0 a segment is the same one and keeps its id and name (docs/clustering-study.md, §6: refits on similar data stay
under 0.4, a segment that really disappeared is at 1.8 or more).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from model_service.scoring.pipeline import Matrix, Parameters
from model_service.store.comparison import Centroids, distances
from model_service.store.gate import MAX_DISTANCE
from model_service.store.manifest import Manifest
from shared.features import DISTANCE_NAMES
from shared.model_description import LeftOut, Match


@dataclass(frozen=True, slots=True)
class Identity:
    """The permanent ids of a new model's segments, by cluster index.

    Attributes
    ----------
    ids : by cluster.
    names : of the kept segments, by cluster.
    matches : kept or new, by cluster.
    retired : ids of the parent's segments that no new one continues.
    next_number : first segment number that is still unused.
    """

    ids: list[str]
    names: dict[int, str]
    matches: list[Match]
    retired: list[str]
    next_number: int


def hungarian(log_centroids: Matrix, reference: Parameters) -> list[tuple[int, int, float]]:
    """Pair centroids with those of `reference`, which has the same features, so that the summed distance is smallest.

    Parameters
    ----------
    log_centroids : in log units, shape (k, n_features).

    Returns
    -------
    (row in `log_centroids`, row in the reference's centroids, distance in the reference's standardised log space).
    """
    z = (log_centroids - reference.mean) / reference.scale
    return _pairs(np.linalg.norm(z[:, None, :] - reference.centroids[None, :, :], axis=2))


def _pairs(distances: Matrix) -> list[tuple[int, int, float]]:
    new, old = linear_sum_assignment(distances)
    return [(int(i), int(j), float(distances[i, j])) for i, j in zip(new, old, strict=True)]


def identify(
    parameters: Parameters,
    shares: Sequence[float],
    parent: Manifest | None,
    next_number: int,
    features: Sequence[str] = DISTANCE_NAMES,
    left_out: Sequence[LeftOut] = (),
) -> Identity:
    """Give every segment its permanent id.

    Parameters
    ----------
    shares : of each cluster in training, 0 to 1; new ids are given in descending order of it.
    parent : the model that is active now, or None at the first training.
    next_number : first number that was never used in an id.
    features : those of `parameters`, in order.
    left_out : the features that are not part of the distance.
    """
    kept = _kept(Centroids(features, parameters, left_out), parent)
    segments = {s["cluster"]: s for s in parent["segments"]} if parent else {}
    by_share = sorted(range(len(shares)), key=lambda cluster: -shares[cluster])
    fresh = [cluster for cluster in by_share if cluster not in kept]
    ids = {cluster: f"seg-{next_number + i:02d}" for i, cluster in enumerate(fresh)}
    ids |= {new: segments[old]["id"] for new, (old, _) in kept.items()}
    matches = [
        Match(status="kept", distance=kept[c][1]) if c in kept else Match(status="new", distance=None)
        for c in range(len(shares))
    ]
    return Identity(
        ids=[ids[cluster] for cluster in range(len(shares))],
        names={new: segments[old]["name"] for new, (old, _) in kept.items()},
        matches=matches,
        retired=sorted({s["id"] for s in segments.values()} - set(ids.values())),
        next_number=next_number + len(fresh),
    )


def _kept(centroids: Centroids, parent: Manifest | None) -> dict[int, tuple[int, float]]:
    """Pair new clusters with the parent's that they continue: {new: (old, distance)}."""
    if parent is None:
        return {}
    apart = distances(centroids, Centroids.of(parent))
    if apart is None:
        return {}  # other features: another space, in which nothing can be compared
    return {new: (old, distance) for new, old, distance in _pairs(apart) if distance <= MAX_DISTANCE}
