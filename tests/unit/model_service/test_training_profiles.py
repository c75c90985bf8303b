from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from model_service.store.manifest import UTILISATION
from model_service.training.segments import profiles


def test_a_profile_counted_by_hand():
    frame = pd.DataFrame({"BALANCE": [0.0, 50.0, 100.0, 300.0], "CREDIT_LIMIT": [100.0, 100.0, np.nan, 100.0]})
    low, high = profiles(frame, np.array([0, 0, 1, 1]), 2)
    assert low["BALANCE"]["mean"] == 25.0
    assert (high["BALANCE"]["q25"], high["BALANCE"]["median"], high["BALANCE"]["q75"]) == (150.0, 200.0, 250.0)
    assert low[UTILISATION]["median"] == 0.25
    assert high[UTILISATION]["mean"] == 3.0, "missing values are left out"
    logs = np.log1p(frame["BALANCE"].to_numpy())
    expected = (logs[:2].mean() - logs.mean()) / logs.std()
    assert low["BALANCE"]["z"] == pytest.approx(expected)
    assert high["BALANCE"]["z"] == pytest.approx(-expected)


def test_a_value_that_never_varies_lies_nowhere_off_the_mean():
    frame = pd.DataFrame({"BALANCE": [5.0, 5.0], "CREDIT_LIMIT": [1.0, 2.0]})
    first, _ = profiles(frame, np.array([0, 1]), 2)
    assert first["BALANCE"]["z"] == 0.0


def test_a_segment_without_any_value_is_described_by_the_median_of_all():
    frame = pd.DataFrame({"BALANCE": [1.0, 3.0, 2.0, np.nan], "CREDIT_LIMIT": [10.0, 10.0, np.nan, np.nan]})
    _, blank = profiles(frame, np.array([0, 0, 0, 1]), 2)
    assert blank["BALANCE"]["mean"] == blank["BALANCE"]["q25"] == 2.0
    assert blank[UTILISATION]["median"] == 0.2
    assert all(np.isfinite(list(quartiles.values())).all() for quartiles in blank.values())
