"""Customers by column, as the analyses take them, and the tiny model that judges them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from model_customers import Tiny, tiny_customers

from model_service.scoring.pipeline import Matrix
from model_service.scoring.predictor import Predictor
from model_service.store.artefact import LoadedModel
from model_service.store.manifest import Manifest
from model_service.store.registry import ModelStore
from shared.features import INPUT_NAMES


def columns_of(frame: pd.DataFrame) -> dict[str, Matrix]:
    return {name: np.array(frame[name], dtype=np.float64) for name in INPUT_NAMES}


def cut(columns: dict[str, Matrix], at: list[int]) -> list[dict[str, Matrix]]:
    """Cut the rows of `columns` at these places, which may be equal: some blocks are empty then."""
    parts = {name: np.split(values, sorted(at)) for name, values in columns.items()}
    return [{name: parts[name][i] for name in columns} for i in range(len(at) + 1)]


def tiny_predictor(tiny: Tiny) -> Predictor:
    store = ModelStore(tiny.store)
    return Predictor(store.load(store.versions()[0]))


def tiny_columns(seed: int = 2, rows: int = 100) -> dict[str, Matrix]:
    return columns_of(tiny_customers(seed, rows))


def changed(predictor: Predictor, **members: object) -> Predictor:
    """Return a predictor of the same model with another manifest."""
    manifest: Manifest = {**predictor.manifest, **members}  # type: ignore[typeddict-item]  # any member
    return Predictor(LoadedModel(manifest, predictor.model.scorer))
