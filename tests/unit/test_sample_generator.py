"""The sample generator: same seed same bytes, blocks that leave no trace, and columns that agree with one another."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features import BY_NAME, INPUTS

DATA = Path(__file__).resolve().parents[2] / "data"
ROWS = 20_000


@pytest.fixture(scope="module")
def tools() -> Iterator[SimpleNamespace]:
    """The scripts of `data/` and the parameters they share; `data/` is a folder of scripts and not a package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DATA))
        generate, parameters = importlib.import_module("generate"), importlib.import_module("parameters")
        yield SimpleNamespace(generate=generate, parameters=parameters, table=parameters.load())


@pytest.fixture(scope="module")
def drawn(tools: SimpleNamespace) -> dict[str, Any]:
    parts = list(tools.generate.blocks(tools.table, ROWS, seed=7))
    return {f.name: np.concatenate([p[f.name] for p in parts]) for f in INPUTS}


def text(tools: SimpleNamespace, rows: int, seed: int, block: int = 10_000) -> str:
    out = io.StringIO()
    tools.generate.write(tools.table, rows, seed, out, block)
    return out.getvalue()


def test_the_shipped_sample_is_what_the_generator_writes(tools: SimpleNamespace, sample_csv: Path) -> None:
    assert text(tools, 6_000, seed=1).encode() == sample_csv.read_bytes()


def test_another_seed_gives_other_customers(tools: SimpleNamespace) -> None:
    one, other = (text(tools, 50, seed).splitlines()[1:] for seed in (1, 2))
    assert not set(one) & set(other)


@given(rows=st.integers(1, 120), block=st.integers(1, 150), seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_blocks_leave_no_trace(tools: SimpleNamespace, rows: int, block: int, seed: int) -> None:
    longer = text(tools, rows + 30, seed, block=10_000)
    shorter = text(tools, rows, seed, block)
    assert longer.splitlines()[: rows + 1] == shorter.splitlines()


def test_ids_stay_unique_beyond_five_digits(tools: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.generate, "FIRST_ID", 99_990)
    ids = [line.split(",")[0] for line in text(tools, 30, seed=1, block=7).splitlines()[1:]]
    assert ids == [f"S{i}" for i in range(99_990, 100_020)]


def test_no_value_breaks_a_hard_rule(drawn: dict[str, Any]) -> None:
    for feature in INPUTS:
        values = [None if v != v else v for v in drawn[feature.name].tolist()]
        assert {feature.fault(v) for v in values} == {None}, feature.name


def test_purchases_are_the_sum_of_their_parts(drawn: dict[str, Any], tools: SimpleNamespace) -> None:
    parts = sum(drawn[name] for name in tools.parameters.PARTS)
    assert np.abs(drawn["PURCHASES"] - parts).max() < 0.005


def test_amounts_frequencies_and_counts_agree_on_zero(drawn: dict[str, Any], tools: SimpleNamespace) -> None:
    for name, amounts in tools.parameters.ACTIVE_WITH.items():
        active = sum(drawn[amount] for amount in amounts) > 0
        assert np.array_equal(drawn[name] > 0, active), name


def test_purchases_are_at_least_as_frequent_as_each_kind(drawn: dict[str, Any]) -> None:
    for part in ("ONEOFF_PURCHASES_FREQUENCY", "PURCHASES_INSTALLMENTS_FREQUENCY"):
        assert (drawn[part] <= drawn["PURCHASES_FREQUENCY"]).all()


@pytest.mark.parametrize("activity", ["PURCHASES", "CASH_ADVANCE"])
def test_there_are_no_fewer_transactions_than_active_months(drawn: dict[str, Any], activity: str) -> None:
    months = np.round(drawn[f"{activity}_FREQUENCY"] * drawn["TENURE"])
    assert (drawn[f"{activity}_TRX"] >= months).all()


def test_limits_are_round_and_most_balances_below_them(drawn: dict[str, Any]) -> None:
    limit = drawn["CREDIT_LIMIT"]
    known = ~np.isnan(limit)
    assert (limit[known] % 50 == 0).all()
    assert 0.01 < (drawn["BALANCE"][known] > limit[known]).mean() < 0.04


def test_shares_are_those_of_the_table(drawn: dict[str, Any], tools: SimpleNamespace) -> None:
    table = json.loads((DATA / "parameters.json").read_text(encoding="utf-8"))
    cells = sum(np.multiply(s["share"], s["cells"]) for s in table["segments"])
    pattern = sum(2**i * (drawn[name] > 0) for i, name in enumerate(tools.parameters.CELLS))
    close(np.bincount(pattern, minlength=8) / ROWS, cells)
    tenure = sum(np.multiply(s["share"], s["tenure"]) for s in table["segments"])
    close(np.bincount(drawn["TENURE"].astype(int), minlength=13)[1:] / ROWS, tenure)
    for name in tools.parameters.ZERO_MASS:
        zeros = sum(s["share"] * s["zeros"][name] for s in table["segments"])
        close(np.mean(drawn[name] == 0), zeros)


def close(share: Any, expected: Any) -> None:
    """Within five standard errors of a proportion (and the table's rounding)."""
    error = 5 * np.sqrt(np.multiply(expected, np.subtract(1, expected)) / ROWS) + 1e-3
    assert (np.abs(np.subtract(share, expected)) <= error).all()


def test_a_table_fitted_for_other_columns_is_refused(tools: SimpleNamespace, tmp_path: Path) -> None:
    table = json.loads((DATA / "parameters.json").read_text(encoding="utf-8"))
    table["variables"] = table["variables"][1:]
    path = tmp_path / "parameters.json"
    path.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(tools.parameters.ParameterError, match="fit_parameters"):
        tools.parameters.load(path)


def test_rounded_correlations_that_fit_no_distribution_are_repaired(tools: SimpleNamespace) -> None:
    d = len(tools.parameters.VARIABLES)
    contradictory = np.zeros(d * (d - 1) // 2)
    contradictory[:3] = 0.9, 0.9, -0.9
    factor = tools.parameters.cholesky(contradictory)
    assert np.allclose(np.diag(factor @ factor.T), 1)


def test_command_writes_the_file(tools: SimpleNamespace, tmp_path: Path) -> None:
    out = tmp_path / "few.csv"
    result = CliRunner().invoke(tools.generate.main, ["--rows", "3", "--seed", "1", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert out.read_text(encoding="utf-8") == text(tools, 3, seed=1)


@pytest.mark.parametrize("arguments", [["--rows", "0", "--out", "-"], ["--seed", "-1", "--out", "-"], []])
def test_command_refuses_bad_arguments(tools: SimpleNamespace, arguments: list[str]) -> None:
    assert CliRunner().invoke(tools.generate.main, arguments).exit_code == 2


def test_whole_columns_have_no_decimals(tools: SimpleNamespace) -> None:
    header, *rows = (line.split(",") for line in text(tools, 200, seed=3).splitlines())
    whole = [i for i, name in enumerate(header) if name in BY_NAME and BY_NAME[name].whole]
    assert all(row[i].isdecimal() for row in rows for i in whole)
