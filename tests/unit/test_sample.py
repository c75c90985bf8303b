"""The shipped sample, its parameter table and its README: what they promise, checked on the files themselves."""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from shared.features import BY_NAME, CUST_ID, FEATURES, INPUTS, complete, cust_id_fault
from shared.findings import findings

DATA = Path(__file__).resolve().parents[2] / "data"
HEADER = [CUST_ID, *(f.name for f in INPUTS)]
BY_DESIGN = {"missing_minimum", "missing_limit", "over_limit", "minimum_over_limit"}

Row = dict[str, Any]
Load = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def script() -> Iterator[Load]:
    """Loads a script of `data/`, which is a folder of scripts and not a package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DATA))
        yield importlib.import_module


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [parse(row) for row in csv.DictReader(file)]


def parse(row: dict[str, str]) -> Row:
    numbers = {name: float(text) if text else None for name, text in row.items() if name != CUST_ID}
    return {CUST_ID: row[CUST_ID], **numbers}


@pytest.fixture(scope="module")
def sample(sample_csv: Path) -> list[Row]:
    return read(sample_csv)


@pytest.fixture(scope="module")
def table() -> Row:
    return json.loads((DATA / "parameters.json").read_text(encoding="utf-8"))


def test_header_is_the_id_and_the_inputs_in_order(sample_csv: Path) -> None:
    with sample_csv.open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == HEADER


def test_it_is_large_enough_and_small_enough(sample: list[Row], sample_csv: Path) -> None:
    assert len(sample) >= 5_000
    assert sample_csv.stat().st_size < 1_000_000


def test_ids_are_valid_and_unique(sample: list[Row]) -> None:
    ids = [row[CUST_ID] for row in sample]
    assert [cust_id_fault(i) for i in ids] == [None] * len(ids)
    assert len(set(ids)) == len(ids)


def test_ids_have_a_range_of_their_own(sample: list[Row]) -> None:
    """The real file has C10001 to C19190, so that its ids must not be here: one would overwrite the other."""
    assert [row[CUST_ID] for row in sample] == [f"S{number:05}" for number in range(1, len(sample) + 1)]


def test_no_row_breaks_a_hard_rule(sample: list[Row]) -> None:
    faults = {(row[CUST_ID], f.name): f.fault(row[f.name]) for row in sample for f in INPUTS}
    assert {where: fault for where, fault in faults.items() if fault} == {}


def test_soft_findings_are_only_the_intended_ones(sample: list[Row]) -> None:
    codes = {finding["code"] for row in sample for finding in findings(complete(row))}
    assert codes <= BY_DESIGN


def test_blanks_are_structural_or_rare(sample: list[Row]) -> None:
    without_payments = [row for row in sample if row["PAYMENTS"] == 0]
    paid_blank = [row for row in sample if row["PAYMENTS"] and row["MINIMUM_PAYMENTS"] is None]
    assert without_payments
    assert all(row["MINIMUM_PAYMENTS"] is None for row in without_payments)
    assert 0 < len(paid_blank) < 0.02 * len(sample)
    assert 0 < sum(row["CREDIT_LIMIT"] is None for row in sample) < 10


def test_no_row_is_real(sample: list[Row], real_csv: Path) -> None:
    # The sample has cents and the real file six decimals: unrounded, no row could ever be equal.
    def features(row: Row) -> tuple[float | None, ...]:
        return tuple(None if row[f.name] is None else round(row[f.name], 2) for f in INPUTS)

    real = {features(row) for row in read(real_csv)}
    assert real
    assert [row[CUST_ID] for row in sample if features(row) in real] == []


def test_no_share_in_the_table_stands_for_a_few_customers(table: Row, script: Load) -> None:
    small = script("parameters").SMALL_CELL
    for segment in table["segments"]:
        size = segment["share"] * table["rows"]
        shares = [*segment["cells"], *segment["tenure"], *segment["zeros"].values()]
        # Stored shares are rounded to 4 decimals, by half a customer in 8,950 at most.
        assert [s for s in shares if 0 < s * size < small - 1] == []


def test_quantiles_in_the_table_have_three_digits_and_never_fall(table: Row) -> None:
    for segment in table["segments"]:
        for name, values in segment["quantiles"].items():
            assert values == [float(f"{v:.3g}") for v in values]
            assert values == sorted(values)
            assert 0 < values[0] <= values[-1] <= BY_NAME[name].maximum


def test_no_real_row_is_in_the_table(table: Row, real_csv: Path) -> None:
    # A real row would show as one position at which every column's list holds its value.
    positions = [
        {name: segment["quantiles"][name][i] for name in segment["quantiles"]}
        for segment in table["segments"]
        for i in range(len(segment["quantiles"]["BALANCE"]))
    ]
    real = read(real_csv)
    assert [p for p in positions for row in real if all(row[name] == value for name, value in p.items())] == []


def test_dictionary_in_the_readme_is_up_to_date(script: Load) -> None:
    readme = script("readme")
    text = readme.README.read_text(encoding="utf-8")
    assert readme.section(text, "dictionary") == readme.dictionary(), "run: python data/readme.py"


def test_dictionary_has_every_column(script: Load) -> None:
    rows = script("readme").dictionary().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [CUST_ID, *(f.name for f in FEATURES)]


def test_section_replaces_only_what_is_between_its_markers(script: Load) -> None:
    readme = script("readme")
    text = "before\n<!-- a -->\nold\n<!-- /a -->\nafter\n"
    assert readme.with_section(text, "a", r"new \1") == "before\n<!-- a -->\nnew \\1\n<!-- /a -->\nafter\n"


@pytest.mark.parametrize("text", ["no markers", "<!-- a -->\n<!-- /a -->\n<!-- a -->\n<!-- /a -->\n"])
def test_markers_must_be_there_exactly_once(script: Load, text: str) -> None:
    with pytest.raises(ValueError, match="markers of 'a'"):
        script("readme").with_section(text, "a", "new")


def test_fidelity_in_the_readme_is_that_of_the_shipped_sample(script: Load, sample_csv: Path, real_csv: Path) -> None:
    readme, fidelity = script("readme"), script("fidelity")
    stated = readme.section(readme.README.read_text(encoding="utf-8"), "fidelity")
    files = [pd.read_csv(path) for path in (sample_csv, real_csv)]
    # The quick table stands for all of them; the slow ones are written by the same run.
    assert fidelity.column_table(*files) in stated, "run: python data/fidelity.py ../shared/data/cc_general.csv --write"


def test_every_column_is_distributed_like_the_real_one(script: Load, sample_csv: Path, real_csv: Path) -> None:
    distances = script("fidelity").ks(*(pd.read_csv(path) for path in (sample_csv, real_csv)))
    assert list(distances) == [f.name for f in INPUTS]
    assert max(distances.values()) < 0.06


def test_the_table_is_what_the_real_file_measures(script: Load, table: Row, real_csv: Path) -> None:
    measured = script("fit_parameters").measure(pd.read_csv(real_csv))
    # Other processors and library versions may move a customer or two between segments.
    assert list(numbers(measured)) == pytest.approx(list(numbers(table)), rel=0.05, abs=0.03)


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, int | float):
        yield value
    elif not isinstance(value, str):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers(inner)


@pytest.mark.parametrize(("scores", "k"), [([(3, 0.9, 0.2), (4, 0.8, 0.2), (5, 0.9, 0.04)], 3), ([(3, 0.85, 0.05)], 3)])
def test_the_rule_takes_the_largest_k_that_is_stable_and_not_too_small(script: Load, scores: list[Any], k: int) -> None:
    fidelity = script("fidelity")
    assert fidelity.chosen([fidelity.Score(*score) for score in scores]).k == k
