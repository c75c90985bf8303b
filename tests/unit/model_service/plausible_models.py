"""Customers and models drawn at random over the whole data dictionary, for properties that hold for all of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from model_service.scoring.pipeline import CompiledScorer, Matrix, Parameters
from shared.features import DISTANCE, Feature, Kind


class Drawn(NamedTuple):
    """A model, its training ranges, and customers; some of them unusual, some with blanks where blanks are allowed."""

    scorer: CompiledScorer
    low: Matrix
    high: Matrix
    rows: Matrix


def drawn(seed: int, k: int, rows: int = 20) -> Drawn:
    generator = np.random.default_rng(seed)
    training = np.stack([_values(f, generator, 300) for f in DISTANCE], axis=1)
    logs = np.log1p(training)
    mean, scale = logs.mean(axis=0), logs.std(axis=0)
    centroids = (logs[:k] - mean) / scale * generator.uniform(0.2, 1.0)
    scorer = CompiledScorer(Parameters(np.median(training, axis=0), mean, scale, centroids))
    low, high = np.quantile(training, [0.01, 0.99], axis=0)
    customers = np.stack([_values(f, generator, rows) for f in DISTANCE], axis=1)
    nullable = np.array([f.nullable for f in DISTANCE])
    customers[nullable & (generator.random(customers.shape) < 0.2)] = np.nan
    return Drawn(scorer, low, high, customers)


def _values(feature: Feature, generator: np.random.Generator, count: int) -> Matrix:
    if feature.kind is Kind.MONTHS:
        return generator.integers(feature.minimum, feature.maximum, count, endpoint=True).astype(float)
    if feature.kind is Kind.FREQUENCY:
        return generator.integers(0, 12, count, endpoint=True) / 12
    active = generator.random(count) < 0.7
    if feature.kind is Kind.COUNT:
        return np.where(active, generator.geometric(0.1, count), 0).astype(float)
    values = np.where(active, generator.lognormal(6, 1.5, count).round(2), 0.0)
    return np.maximum(values, feature.minimum + 0.01) if feature.exclusive_minimum else values
