"""Fixtures that every level of tests shares."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
REAL_CSV = ROOT.parent / "shared" / "data" / "cc_general.csv"
SAMPLE_CSV = ROOT / "data" / "sample.csv"


@pytest.fixture(scope="session")
def real_csv() -> Path:
    """The public data set of 8,950 customers; it lies beside the checkout and is never part of it."""
    if not REAL_CSV.exists():
        pytest.skip(f"the real data are not on this machine ({REAL_CSV})")
    return REAL_CSV


@pytest.fixture(scope="session")
def sample_csv() -> Path:
    """The generated sample that the project ships."""
    return SAMPLE_CSV
