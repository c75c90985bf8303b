"""The fitted pipeline as plain arrays: what serves, without scikit-learn.

`CompiledScorer` is the arithmetic of the scikit-learn pipeline on NumPy arrays, without its per-call checks (about
5 µs a row against 400 µs). `model_service.training.fitted` makes the pipeline and proves that the two agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Clusters = NDArray[np.intp]

BLOCK = 4096
"""Rows scored at a time: the temporaries of a block stay in the processor's cache."""

TIE = 1e-9
"""Gap ``d2² - d1²`` up to which two centroids count as equally near, so that rounding decides between them."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Everything a fitted pipeline has learnt.

    Attributes
    ----------
    fill : medians that replace missing values, in each feature's unit, shape (n_features,).
    mean, scale : of log1p of the imputed values, shape (n_features,).
    centroids : in standardised log space, shape (k, n_features).
    """

    fill: Matrix
    mean: Matrix
    scale: Matrix
    centroids: Matrix

    @classmethod
    def of(cls, pipeline: Any) -> Parameters:
        """Read the parameters out of a fitted scikit-learn pipeline (`model_service.training.fitted`)."""
        scaler = pipeline.named_steps["scale"]
        return cls(
            fill=np.asarray(pipeline.named_steps["impute"].statistics_, dtype=np.float64),
            mean=np.asarray(scaler.mean_, dtype=np.float64),
            scale=np.asarray(scaler.scale_, dtype=np.float64),
            centroids=np.asarray(pipeline.named_steps["cluster"].cluster_centers_, dtype=np.float64),
        )

    def as_json(self) -> dict[str, list[float]]:
        """Return the arrays as lists; floats survive JSON bit for bit."""
        return {name: getattr(self, name).tolist() for name in self.__slots__}

    @classmethod
    def from_json(cls, lists: Mapping[str, Any]) -> Parameters:
        """Read what `as_json` returned."""
        return cls(**{name: np.array(lists[name], dtype=np.float64) for name in cls.__slots__})

    def digest(self) -> str:
        """SHA-256 over the parameters, the same for the same data, seed and library versions.

        Unlike the bytes of a pickle it depends on nothing else. Values are rounded to 12 significant digits
        because different processors may differ in the last bits.
        """
        rounded = (f"{value:.11e}" for name in self.__slots__ for value in getattr(self, name).ravel().tolist())
        return hashlib.sha256(" ".join(rounded).encode()).hexdigest()

    def standardise(self, rows: Matrix) -> Matrix:
        """Map `rows` (n, n_features; features' units, NaN for missing) into standardised log space."""
        filled = np.where(np.isnan(rows), self.fill, rows)
        return (np.log1p(filled) - self.mean) / self.scale

    def log_centroids(self) -> Matrix:
        """Centroids in log units, where those of different fits can be compared; shape (k, n_features)."""
        return self.centroids * self.scale + self.mean


class Scores(NamedTuple):
    """Nearest and second nearest centroid of n rows; every array has shape (n,).

    ``distance`` is Euclidean in standardised log space, ``margin`` is how much farther the rival's centroid is.
    """

    nearest: Clusters
    rival: Clusters
    distance: Matrix
    margin: Matrix


class Score(NamedTuple):
    """The same for one row."""

    nearest: int
    rival: int
    distance: float
    margin: float


class CompiledScorer:
    """A fitted pipeline as plain arrays. Assumes faultless input: validation happened at the edge.

    Parameters
    ----------
    parameters : of the fitted pipeline, with k of at least 2.
    unseen : squared distance to each centroid along features that are in no row, shape (k, n_unseen).
    """

    def __init__(self, parameters: Parameters, unseen: Matrix | None = None) -> None:
        self.parameters = parameters
        self._unseen = np.zeros((len(parameters.centroids), 0)) if unseen is None else unseen
        self._fill = parameters.fill
        self._mean = parameters.mean
        self._scale = parameters.scale
        # |z - c|² = |z|² - 2 z·c + |c|², so that all centroids take one matrix product.
        self._weights = np.ascontiguousarray(-2.0 * parameters.centroids.T)
        self._norms = np.einsum("kf,kf->k", parameters.centroids, parameters.centroids) + self._unseen.sum(axis=1)

    def squared_distances(self, rows: Matrix) -> Matrix:
        """Squared distance of each of `rows` (n, n_features; NaN for missing) to each centroid, shape (n, k)."""
        z = self.parameters.standardise(rows)
        squares = z @ self._weights
        squares += self._norms
        squares += np.einsum("nf,nf->n", z, z)[:, None]
        return cast(Matrix, np.maximum(squares, 0.0, out=squares))

    def score(self, rows: Matrix) -> Scores:
        """Score `rows`, float64 of shape (n, n_features) in the features' units, NaN for missing."""
        if len(rows) <= BLOCK:
            return self._score_block(rows)
        blocks = [self._score_block(rows[i : i + BLOCK]) for i in range(0, len(rows), BLOCK)]
        return Scores(*(np.concatenate(part) for part in zip(*blocks, strict=True)))

    def contributions(self, rows: Matrix, own: Clusters, rival: Clusters) -> Matrix:
        """Split each row's gap ``d2² - d1²`` exactly over the features, shape (n, n_features).

        What features that are in no row add comes on top (`unseen_contributions`).

        |z - c2|² - |z - c1|² = Σ (c1 - c2)(2z - c1 - c2) over the features, for own centroid c1 and rival c2
        (docs/clustering-study.md, §5).

        Parameters
        ----------
        rows : shape (n, n_features), in the features' units, NaN for missing.
        own, rival : clusters, shape (n,).
        """
        first, second = self.parameters.centroids[own], self.parameters.centroids[rival]
        return (first - second) * (2.0 * self.parameters.standardise(rows) - first - second) + 0.0  # no -0.0

    def unseen_contributions(self, own: Clusters, rival: Clusters) -> Matrix:
        """Return what the features that are in no row add to the gap, shape (n, n_unseen)."""
        return self._unseen[rival] - self._unseen[own]

    def _score_block(self, rows: Matrix) -> Scores:
        squares = self.squared_distances(rows)
        order = np.arange(len(squares))
        nearest = squares.argmin(axis=1)
        distance = np.sqrt(squares[order, nearest])
        squares[order, nearest] = np.inf
        rival = squares.argmin(axis=1)
        return Scores(nearest, rival, distance, np.sqrt(squares[order, rival]) - distance)

    def score_one(self, row: Matrix) -> Score:
        """Score one row, shape (n_features,); about 5 µs, where a batch of one takes three times as long."""
        missing = np.isnan(row)
        if missing.any():
            row = np.where(missing, self._fill, row)
        z = np.log1p(row)
        z -= self._mean
        z /= self._scale
        squares = (z @ self._weights + self._norms).tolist()
        nearest_square, rival_square = sorted(squares)[:2]
        nearest = squares.index(nearest_square)
        rival = squares.index(rival_square, nearest + 1 if rival_square == nearest_square else 0)
        norm = float(z @ z)
        distance = max(nearest_square + norm, 0.0) ** 0.5
        return Score(nearest, rival, distance, max(rival_square + norm, 0.0) ** 0.5 - distance)


def label_differences(expected: Clusters, scorer: CompiledScorer, rows: Matrix) -> int:
    """Count the `rows` that `scorer` puts into another cluster than the `expected` one, ties aside.

    Both the batch and the one-row form are compared; rows whose gap is at most `TIE` are ambiguous in floating
    point and left out (docs/clustering-study.md, §8).

    Parameters
    ----------
    expected : clusters, shape (n,).
    rows : in the columns of `scorer`, shape (n, n_features).
    """
    scores = scorer.score(rows)
    single = np.array([scorer.score_one(row).nearest for row in rows])
    gap = (scores.distance + scores.margin) ** 2 - scores.distance**2
    differs = (scores.nearest != expected) | (single != expected)
    return int(np.count_nonzero(differs & (gap > TIE)))
