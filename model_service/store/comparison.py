"""How far apart the segments of two versions lie, also where their distances use different features.

Centroids are compared in the reference's standardised log space. A feature that one of the versions left out because it
was the same for all of its training customers has a known place there, so it takes part; one of which a version knows
nothing cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_service.scoring.pipeline import Matrix, Parameters
from model_service.store.manifest import Manifest
from shared.model_description import LeftOut

MIN_COMPARABLE = 0.5
"""Share of the features of either version that must be comparable; with fewer, equal segments would be guesswork."""


@dataclass(frozen=True, slots=True)
class Centroids:
    """Where the segments of a version lie.

    Attributes
    ----------
    features : those of `parameters`, in order.
    left_out : the features that the training left out of the distance.
    """

    features: Sequence[str]
    parameters: Parameters
    left_out: Sequence[LeftOut] = ()

    @classmethod
    def of(cls, manifest: Manifest) -> Centroids:
        """Return those of a stored version."""
        return cls(manifest["features"], Parameters.from_json(manifest["parameters"]), manifest.get("left_out", []))

    def positions(self) -> dict[str, Matrix]:
        """Return each segment's place on every feature of which it is known, in log units; shape (k,) each."""
        constants = {
            left["feature"]: np.full(len(self.parameters.centroids), np.log1p(left["value"]))
            for left in self.left_out
            if left["value"] is not None
        }
        return constants | dict(zip(self.features, self.parameters.log_centroids().T, strict=False))

    def scales(self) -> dict[str, float]:
        """Return the standard deviation of each feature that counts, in log units."""
        return dict(zip(self.features, self.parameters.scale.tolist(), strict=False))


def distances(candidate: Centroids, reference: Centroids) -> Matrix | None:
    """Return the distance of each of the candidate's centroids from each of the reference's, or None.

    Returns
    -------
    shape (k_candidate, k_reference), in the reference's standardised log space; None when too few features can be
    compared.
    """
    ours, theirs = candidate.positions(), reference.positions()
    scales = candidate.scales() | reference.scales()
    common = [name for name in scales if name in ours and name in theirs]
    if len(common) < MIN_COMPARABLE * max(len(candidate.features), len(reference.features)):
        return None
    apart = [(ours[name][:, None] - theirs[name][None, :]) / scales[name] for name in common]
    return np.asarray(np.linalg.norm(apart, axis=0))
