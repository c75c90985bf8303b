"""Putting together what is known about each segment of a new model."""

from __future__ import annotations

import numpy as np
import pandas as pd

from model_service.manifest import StoredSegment
from model_service.pipeline import Labels
from model_service.training.matching import Identity
from model_service.training.naming import name_segments
from model_service.training.profiles import profiles


def describe_segments(frame: pd.DataFrame, labels: Labels, identity: Identity) -> list[StoredSegment]:
    """Return the segments of a model, largest first.

    A kept segment keeps its name; the name that the rules would give it now stands beside it.

    Parameters
    ----------
    frame : a column per feature, in its unit, NaN for missing; shape (n_rows, n_features).
    labels : cluster of each row, shape (n_rows,).
    """
    k = len(identity.ids)
    sizes = np.bincount(labels, minlength=k).tolist()
    described = profiles(frame, labels, k)
    derived = name_segments(described)
    fresh = [cluster for cluster in range(k) if cluster not in identity.names]
    new_names = name_segments([described[c] for c in fresh], taken=list(identity.names.values()))
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
