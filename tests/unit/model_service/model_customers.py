"""Three kinds of customers that no clustering can miss."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model_service.training.dataset import TrainingData
from shared.features import CUST_ID, INPUTS, Kind

TINY_K = 3


def tiny_customers(seed: int = 0, rows: int = 60) -> pd.DataFrame:
    """Three far-apart kinds of customers, `rows` of each, with some blanks where blanks are allowed."""
    generator = np.random.default_rng(seed)
    table = pd.DataFrame({CUST_ID: [f"C{i}" for i in range(TINY_K * rows)]})
    for j, feature in enumerate(INPUTS):
        levels = np.roll([0.05, 0.4, 0.9], j).repeat(rows) * min(feature.maximum, 12 if feature.whole else 5000)
        values = np.clip(levels * generator.uniform(0.8, 1.1, TINY_K * rows), feature.minimum + 0.001, feature.maximum)
        table[feature.name] = np.ceil(values) if feature.whole else values
        if feature.nullable:
            table.loc[j::11, feature.name] = np.nan
    assert {f.kind for f in INPUTS} <= set(Kind)
    return table


@dataclass(frozen=True)
class Tiny:
    """The tiny training: its data, and the store with one active version."""

    csv: Path
    data: TrainingData
    store: Path

    def customer(self, row: int = 1) -> dict[str, Any]:
        """One of its customers as a client would send it."""
        values = {f.name: self.data.frame[f.name].iloc[row].item() for f in INPUTS}
        return {name: None if value != value else value for name, value in values.items()}
