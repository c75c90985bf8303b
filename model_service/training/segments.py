"""What is known about each segment of a new model: its profile in the customers' own units, its name and its size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_service.scoring.pipeline import Clusters, Matrix
from model_service.store.manifest import UTILISATION, StoredSegment
from model_service.training.matching import Identity
from model_service.training.naming import name_segments
from shared.contract import Quartiles
from shared.features import DISTANCE_NAMES


def describe_segments(
    frame: pd.DataFrame, labels: Clusters, identity: Identity, features: Sequence[str] = DISTANCE_NAMES
) -> list[StoredSegment]:
    """Return the segments of a model, largest first.

    A kept segment keeps its name; the name that the rules would give it now stands beside it.

    Parameters
    ----------
    frame : a column per feature, in its unit, NaN for missing; shape (n_rows, n_features).
    labels : cluster of each row, shape (n_rows,).
    features : those of the distance; only they make names.
    """
    k = len(identity.ids)
    sizes = np.bincount(labels, minlength=k).tolist()
    described = profiles(frame, labels, k)
    derived = name_segments(described, features=features)
    fresh = [cluster for cluster in range(k) if cluster not in identity.names]
    new_names = name_segments([described[c] for c in fresh], list(identity.names.values()), features)
    names = identity.names | {c: naming.name for c, naming in zip(fresh, new_names, strict=True)}
    segments = [
        StoredSegment(
            id=identity.ids[cluster],
            name=names[cluster],
            derived_name=derived[cluster].name,
            cluster=cluster,
            size=sizes[cluster],
            share=sizes[cluster] / len(frame),
            actions=derived[cluster].actions,
            profile=described[cluster],
            match=identity.matches[cluster],
        )
        for cluster in range(k)
    ]
    return sorted(segments, key=lambda s: -s["share"])


def with_utilisation(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame`, shape (n_rows, n_features), with the column `UTILISATION` added; NaN without a limit."""
    return frame.assign(**{UTILISATION: frame["BALANCE"] / frame["CREDIT_LIMIT"]})


def profiles(frame: pd.DataFrame, labels: NDArray[np.intp], k: int) -> list[dict[str, Quartiles]]:
    """Describe each of `k` segments by every feature and utilisation.

    Missing values are left out; where a segment has no value at all, the median of all customers stands for it, as in
    the model. A feature that nobody has is left out. ``z`` is how many standard deviations the segment's mean lies from
    that of all customers, both of log1p, the scale on which the model compares customers.

    Parameters
    ----------
    frame : a column per feature, in its unit, NaN for missing; shape (n_rows, n_features).
    labels : cluster of each row, shape (n_rows,).
    """
    columns = {str(name): values.to_numpy() for name, values in with_utilisation(frame).items()}
    found: list[dict[str, Quartiles]] = [{} for _ in range(k)]
    for name, values in columns.items():
        known = ~np.isnan(values)
        if not known.any():
            continue
        logs = np.log1p(values[known])
        # Of equal values the mean may differ in the last bit, and the deviation would be that bit.
        mean, deviation = (logs[0], 1.0) if (logs == logs[0]).all() else (logs.mean(), logs.std())
        for cluster in range(k):
            members = values[known & (labels == cluster)]
            found[cluster][name] = _quartiles(
                members if len(members) else np.median(values[known])[None], mean, deviation
            )
    return found


def _quartiles(values: Matrix, log_mean: float, log_deviation: float) -> Quartiles:
    q25, median, q75 = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    logs = np.log1p(values)
    z = 0.0 if (logs == log_mean).all() else (logs.mean() - log_mean) / log_deviation
    return Quartiles(mean=float(values.mean()), q25=q25, median=median, q75=q75, z=float(z))
