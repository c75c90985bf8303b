from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model_customers import tiny_customers

from model_service.training.dataset import SHOWN, read_customers
from model_service.training.errors import DataRefused
from shared.features import CUST_ID, DERIVED, DISTANCE_NAMES, FEATURES, INPUTS

HEADER = ",".join(f.name for f in INPUTS)


@pytest.fixture
def written(tmp_path):
    """Writes a table as CSV and returns its path."""

    def write(table: pd.DataFrame | str | bytes):
        path = tmp_path / "customers.csv"
        if isinstance(table, bytes):
            path.write_bytes(table)
        elif isinstance(table, str):
            path.write_text(table)
        else:
            table.to_csv(path, index=False)
        return path

    return write


def test_a_good_file_is_read_whole(written):
    data = read_customers(written(tiny_customers()))
    assert list(data.frame.columns) == [f.name for f in FEATURES]
    assert (data.frame.dtypes == np.float64).all()
    assert len(data.frame) == data.source["rows"] == 180
    assert data.source["refused"] == 0
    assert len(data.source["sha256"]) == 64
    assert data.notes == []
    assert list(data.distance.columns) == list(DISTANCE_NAMES)


def test_derived_columns_are_computed_and_those_given_are_not_believed(written):
    table = tiny_customers()
    for feature in DERIVED:
        table[feature.name] = -1.0
    frame = read_customers(written(table)).frame
    for feature in DERIVED:
        assert frame[feature.name].tolist() == [feature.derive(row) for row in frame.to_dict("records")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe\x00", "does not fit"),
        ("A,B\n1,2\n", "2 columns, 'A', 'B', separated by commas. None of them is a column of the data dictionary"),
        (HEADER + "\n", "has no rows"),
        (HEADER + "\n\n\n", "has no rows"),
        (HEADER + "\n" + "1," * 30 + "\n", "line 2: has 31 cells where the header has 17"),
        (HEADER + "\n" + "1," * 16 + "1\n" + "1," * 30 + "\n", "1 of 2 rows break a rule.*\nline 3: has 31 cells"),
        (HEADER + ",tenure\n", "TENURE column is there twice"),
        (HEADER.replace("BALANCE,", "Größe,").encode("latin-1"), "BALANCE column is missing"),
        (HEADER.encode("utf-16"), "is UTF-16 text"),
        (HEADER.encode("utf-16-le"), "holds zero bytes"),
        (HEADER + '\n"1,2\n', "line 2: is not valid CSV"),
        ("x" * 200_000, "The header is not CSV"),
    ],
)
def test_what_is_not_a_table_of_customers_is_refused(written, content, message):
    with pytest.raises(DataRefused, match=message):
        read_customers(written(content))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataRefused, match=r"none\.csv cannot be read: No such file"):
        read_customers(tmp_path / "none.csv")


@pytest.mark.parametrize("feature", [f for f in INPUTS if not f.nullable], ids=lambda f: f.name)
def test_each_missing_column_is_named(written, feature):
    with pytest.raises(DataRefused, match=rf"\. {feature.name} column is missing\.$"):
        read_customers(written(tiny_customers().drop(columns=feature.name)))


def test_customers_need_no_id(written):
    assert len(read_customers(written(tiny_customers().drop(columns=CUST_ID))).frame) == 180


def test_of_an_id_that_comes_again_the_first_row_counts(written):
    table = tiny_customers()
    table.loc[5, CUST_ID] = "C1"
    data = read_customers(written(table))
    assert data.notes == [f"line 7: {CUST_ID} repeats the CUST_ID of line 3"]
    assert len(data.frame) == 179


def test_a_file_with_everybody_twice_is_refused_without_anybodys_id(written):
    table = tiny_customers()
    with pytest.raises(DataRefused, match="180 of 360 rows break a rule") as caught:
        read_customers(written(pd.concat([table, table])))
    assert "C17" not in str(caught.value)


def test_a_bad_row_is_left_out_and_named_by_its_line(written):
    table = tiny_customers().astype({"BALANCE": object, "TENURE": object})
    table.loc[3, "BALANCE"] = "much"
    data = read_customers(written(table))
    assert data.notes == ["line 5: BALANCE must be a number"]
    assert (data.source["rows"], data.source["refused"], len(data.frame)) == (180, 1, 179)
    assert data.frame.index.tolist() == list(range(179))


def test_blank_lines_do_not_shift_line_numbers(written):
    lines = tiny_customers().to_csv(index=False).splitlines()
    cells = lines[10].split(",")
    cells[1] = "-1"
    lines[10] = ",".join(cells)
    data = read_customers(written("\n".join([*lines[:5], "", "", *lines[5:]])))
    assert data.notes == ["line 13: BALANCE must be at least 0", "blank rows, skipped: 2"]


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("BALANCE", "inf", "must be a finite number"),
        ("BALANCE", "1e400", "must be a finite number"),
        ("BALANCE", "9" * 400, "must be a finite number"),
        ("BALANCE", "1e13", "must be at most 1e+12"),
        ("BALANCE", "1_000", "must be a number"),
        ("BALANCE", "1\0", "must be a number"),
        ("BALANCE", "", "must not be blank"),
        ("BALANCE", "-0.5", "must be at least 0"),
        ("BALANCE", "True", "must be a number"),
        ("BALANCE_FREQUENCY", "1.5", "must be at most 1"),
        ("CREDIT_LIMIT", "0", "must be greater than 0"),
        ("PURCHASES_TRX", "1.5", "must be a whole number"),
        ("TENURE", "60", "must be at most 12"),
    ],
)
def test_hard_rules_hold_in_files_too(written, column, value, fault):
    table = tiny_customers().astype({column: object})
    table.loc[0, column] = value
    assert read_customers(written(table)).notes == [f"line 2: {column} {fault}"]


@pytest.mark.parametrize("blanks", [0, 5])
def test_a_column_of_words_is_no_column_of_numbers(written, blanks):
    table = tiny_customers().astype({"MINIMUM_PAYMENTS": object})
    table["MINIMUM_PAYMENTS"] = "True"
    table.loc[: blanks - 1, "MINIMUM_PAYMENTS"] = np.nan
    with pytest.raises(DataRefused, match=f"{180 - blanks} of 180 rows"):
        read_customers(written(table))


def test_more_customers_than_fit_into_memory_are_refused_with_the_setting(written):
    path = written(tiny_customers())
    assert len(read_customers(path, most_rows=180).frame) == 180
    with pytest.raises(DataRefused, match=r"\(179, MAX_TRAINING_ROWS\): train on a random sample"):
        read_customers(path, most_rows=179)


def test_a_small_file_that_asks_for_gigabytes_is_refused(tmp_path):
    table = pa.Table.from_pandas(tiny_customers(), preserve_index=False)
    giant = pa.DictionaryArray.from_arrays(pa.array([0] * len(table), pa.int8()), ["x" * 5_000_000])
    pq.write_table(table.set_column(0, CUST_ID, giant), tmp_path / "giant.parquet", compression="zstd")
    assert (tmp_path / "giant.parquet").stat().st_size < 100_000
    with pytest.raises(DataRefused, match="too much memory"):
        read_customers(tmp_path / "giant.parquet")


def test_columns_may_be_mapped(written):
    table = tiny_customers().rename(columns={"BALANCE": "Saldo"})
    data = read_customers(written(table), {"BALANCE": "saldo"})
    assert "BALANCE is read from 'Saldo'" in data.notes


def test_more_than_one_percent_of_bad_rows_stops_the_training(written):
    table = tiny_customers()
    table.loc[:1, "BALANCE"] = -1
    with pytest.raises(DataRefused, match="2 of 180 rows break a rule of the data dictionary") as caught:
        read_customers(written(table))
    assert "line 2: BALANCE must be at least 0\nline 3: BALANCE" in str(caught.value)


def test_only_the_first_bad_rows_are_shown(written):
    table = tiny_customers()
    table["BALANCE"] = -1.0
    with pytest.raises(DataRefused) as caught:
        read_customers(written(table))
    assert str(caught.value).count("line ") == SHOWN
    assert f"and {180 - SHOWN} more rows" in str(caught.value)


def test_columns_that_nobody_asked_for_are_reported(written):
    data = read_customers(written(tiny_customers().assign(CITY="Oslo", ZIP=1)))
    assert data.notes == ["ignored columns: CITY, ZIP"]


def test_a_byte_order_mark_is_no_part_of_the_first_name(written):
    table = tiny_customers().drop(columns=CUST_ID)
    assert len(read_customers(written(b"\xef\xbb\xbf" + table.to_csv(index=False).encode())).frame) == 180


def test_columns_that_say_nothing_are_left_out_with_a_note(written):
    table = tiny_customers().assign(MINIMUM_PAYMENTS=np.nan, TENURE=12, CASH_ADVANCE=0)
    data = read_customers(written(table))
    reasons = {left["feature"]: (left["reason"], left["value"]) for left in data.left_out}
    assert reasons == {
        "CASH_ADVANCE": ("has the same value in every row (0 currency units)", 0),
        "MINIMUM_PAYMENTS": ("has too few values (0 of 180 rows; at least 20 are required)", None),
        "TENURE": ("has the same value in every row (12 months)", 12),
    }
    assert list(data.distance.columns) == [name for name in DISTANCE_NAMES if name not in reasons]
    assert "TENURE is left out of the distance: it has the same value in every row (12 months)" in data.notes


def test_a_handful_of_values_is_not_enough(written):
    table = tiny_customers()
    known = table.index < 19
    data = read_customers(written(table.assign(MINIMUM_PAYMENTS=table["MINIMUM_PAYMENTS"].where(known))))
    assert [left["feature"] for left in data.left_out] == ["MINIMUM_PAYMENTS"]


@pytest.mark.parametrize(("others", "left_out"), [(1, ["TENURE"]), (2, [])])
def test_hardly_any_other_value_is_none(written, others, left_out):
    table = tiny_customers()
    table["TENURE"] = [6] * others + [12] * (180 - others)
    data = read_customers(written(table))
    assert [left["feature"] for left in data.left_out] == left_out


def test_without_enough_columns_that_tell_customers_apart_there_is_no_training(written):
    kept = ["BALANCE", "PURCHASES", "PAYMENTS", "CREDIT_LIMIT", "PRC_FULL_PAYMENT"]
    constant = {name: 1 for name in DISTANCE_NAMES if name not in kept}
    assert list(read_customers(written(tiny_customers().assign(**constant))).distance.columns) == [
        name for name in DISTANCE_NAMES if name in kept
    ]
    with pytest.raises(DataRefused, match=r"Only 4 of the 17 features tell customers apart; at least 5 are required\."):
        read_customers(written(tiny_customers().assign(**constant, BALANCE=1)))


def test_each_row_knows_its_line(written):
    table = tiny_customers().astype({"BALANCE": object})
    table.loc[3, "BALANCE"] = "much"
    lines = table.to_csv(index=False).splitlines()
    data = read_customers(written("\n".join(["", *lines[:3], "", *lines[3:]])))
    assert data.notes == ["line 7: BALANCE must be a number", "blank rows, skipped: 1"]
    assert data.lines.tolist() == [3, 4, 6, *range(8, 184)]
