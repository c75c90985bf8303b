from __future__ import annotations

import numpy as np
import pytest
from asgi_client import assert_problem

from model_service.api import customers
from model_service.api.errors import ApiError
from model_service.store.registry import ModelStore
from shared.contract import (
    ACTIVE_MODEL,
    BORDERLINE,
    MAX_BATCH,
    MAX_COLUMNAR,
    PREDICT,
    PREDICT_BATCH,
    ColumnarAnswer,
    ModelSummary,
    Prediction,
    Segment,
)
from shared.features import DERIVED, FEATURES, INPUTS

DERIVED_NAME = DERIVED[0].name


@pytest.fixture
def segments(tiny):
    store = ModelStore(tiny.store)
    return {s["cluster"]: s for s in store.manifest(store.versions()[0])["segments"]}


@pytest.fixture
def columns(tiny):
    rows = [tiny.customer(i) for i in range(20)]
    return {f.name: [row[f.name] for row in rows] for f in INPUTS}


def test_one_customer_is_predicted(client, tiny, segments):
    answer = client.post(PREDICT, tiny.customer())
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    prediction = answer.json()
    assert set(prediction) == set(Prediction.__annotations__) - {"explanation"}
    segment, rival = prediction["segment"], prediction["rival"]
    assert segment == {"id": segments[prediction["cluster"]]["id"], "name": segments[prediction["cluster"]]["name"]}
    assert rival["id"] != segment["id"]
    assert prediction["model_version"] == ModelStore(tiny.store).versions()[0]
    assert prediction["distance"] >= 0
    assert prediction["margin"] > 0
    assert 0.5 < prediction["confidence"] <= 1
    assert prediction["borderline"] is (prediction["confidence"] < BORDERLINE)
    assert prediction["imputed"] == []
    assert prediction["warnings"] == []


def test_imputed_fields_are_named_whether_null_or_absent(client, tiny):
    nullable = [f.name for f in INPUTS if f.nullable]
    null = tiny.customer() | dict.fromkeys(nullable)
    absent = {name: value for name, value in null.items() if value is not None}
    assert client.post(PREDICT, null).json() == client.post(PREDICT, absent).json()
    assert client.post(PREDICT, null).json()["imputed"] == nullable


@pytest.mark.parametrize("sent", [None, 0, 12.5, 1e9])
def test_derived_values_are_accepted_and_recomputed(client, tiny, sent):
    plain = client.post(PREDICT, tiny.customer()).json()
    assert client.post(PREDICT, tiny.customer() | {DERIVED_NAME: sent}).json() == plain


def test_values_outside_the_training_range_are_warned_about(client, tiny):
    prediction = client.post(PREDICT, tiny.customer() | {"BALANCE": 1e11}).json()
    codes = {(w["pointer"], w["code"]) for w in prediction["warnings"]}
    assert codes == {("/BALANCE", "outside_training_range"), ("", "far_from_all_segments")}
    assert all(w["detail"] for w in prediction["warnings"])
    assert client.post(PREDICT_BATCH, {"customers": [tiny.customer() | {"BALANCE": 1e11}]}).json() == {
        "predictions": [prediction]
    }


def test_a_batch_gives_each_customer_the_answer_it_gets_alone(client, tiny):
    batch = [tiny.customer(i) for i in range(40)]
    alone = [client.post(PREDICT, customer).json() for customer in batch]
    assert client.post(PREDICT_BATCH, {"customers": batch}).json()["predictions"] == alone
    assert {p["segment"]["id"] for p in alone} != set()


def test_a_batch_may_carry_derived_values_and_leave_out_blanks(client, tiny):
    batch = [tiny.customer(i) for i in range(12)]
    expected = client.post(PREDICT_BATCH, {"customers": batch}).json()
    complete = [customer | {DERIVED_NAME: 1.0} for customer in batch]
    sparse = [{name: v for name, v in customer.items() if v is not None} for customer in batch]
    other_order = [dict(reversed(customer.items())) for customer in batch]
    for form in (complete, sparse, other_order, [*complete[:6], *sparse[6:]]):
        assert client.post(PREDICT_BATCH, {"customers": form}).json() == expected


def test_a_bad_row_gets_its_error_and_the_others_their_predictions(client, tiny):
    good = tiny.customer()
    batch = [good, good | {"BALANCE": "9"}, good, 7, good | {"TENURE": True, "X": 1}]
    answer = client.post(PREDICT_BATCH, {"customers": batch}, X_Request_ID="me-1").json()["predictions"]
    assert [("error" in row) for row in answer] == [False, True, False, True, True]
    assert answer[0] == answer[2] == client.post(PREDICT, good).json()
    errors = [answer[i]["error"] for i in (1, 3, 4)]
    assert {e["code"] for e in errors} == {"validation_failed"}
    assert {e["request_id"] for e in errors} == {"me-1"}
    assert [[f["pointer"] for f in e["errors"]] for e in errors] == [
        ["/customers/1/BALANCE"],
        ["/customers/3"],
        ["/customers/4/TENURE", "/customers/4/X"],
    ]
    assert errors[0]["errors"][0]["detail"] == "must be a number, not a string"


def test_batches_of_nobody_and_of_as_many_as_allowed(connect, tiny):
    client = connect(model_store=tiny.store)
    assert client.post(PREDICT_BATCH, {"customers": []}).json() == {"predictions": []}
    full = {"customers": [tiny.customer()] * MAX_BATCH}
    assert len(client.post(PREDICT_BATCH, full).json()["predictions"]) == MAX_BATCH
    full["customers"].append(tiny.customer())
    assert_problem(client.post(PREDICT_BATCH, full), 422, "validation_failed", ["/customers"])


def test_columns_get_the_answers_of_records(client, columns, tiny, segments):
    answer = client.post(PREDICT_BATCH, {"columns": columns}).json()
    assert set(answer) == set(ColumnarAnswer.__annotations__)
    assert answer["segments"] == [{"id": segments[c]["id"], "name": segments[c]["name"]} for c in sorted(segments)]
    records = client.post(PREDICT_BATCH, {"customers": [tiny.customer(i) for i in range(20)]}).json()["predictions"]
    for name in ("cluster", "confidence", "distance", "margin"):
        assert answer[name] == [record[name] for record in records]
    assert [answer["segments"][i] for i in answer["rival"]] == [record["rival"] for record in records]


def test_blank_columns_may_be_left_out_and_derived_ones_sent(client, columns):
    expected = client.post(PREDICT_BATCH, {"columns": columns | {"MINIMUM_PAYMENTS": [None] * 20}}).json()
    without = {name: cells for name, cells in columns.items() if name != "MINIMUM_PAYMENTS"}
    assert client.post(PREDICT_BATCH, {"columns": without}).json() == expected
    sent = without | {DERIVED_NAME: [None, *range(19)]}
    assert client.post(PREDICT_BATCH, {"columns": sent}).json() == expected


def test_columns_without_rows(client):
    answer = client.post(PREDICT_BATCH, {"columns": {f.name: [] for f in FEATURES}})
    assert answer.status == 200
    assert answer.json()["cluster"] == []


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"BALANCE": None}, ["/columns/BALANCE"]),
        ({"BALANCE": "text"}, ["/columns/BALANCE"]),
        ({"X/Y": []}, ["/columns/X~1Y"]),
        ({"BALANCE": [1.0]}, None),
    ],
)
def test_columns_of_wrong_shape_are_refused(client, columns, change, pointers):
    answer = client.post(PREDICT_BATCH, {"columns": columns | change})
    # The first column is the measure of the others, so that all of them are blamed when it is the odd one.
    assert_problem(answer, 422, "validation_failed", pointers or [f"/columns/{f.name}" for f in INPUTS[1:]])


def test_missing_columns_are_named(client, columns):
    del columns["PAYMENTS"]
    assert_problem(client.post(PREDICT_BATCH, {"columns": columns}), 422, "validation_failed", ["/columns/PAYMENTS"])


@pytest.mark.parametrize(
    ("name", "cell", "detail"),
    [
        ("BALANCE", None, "must not be null"),
        ("BALANCE", "1", "must be a number, not a string"),
        ("BALANCE", True, "must be a number, not a boolean"),
        ("BALANCE", [1], "must be a number, not an array"),
        ("BALANCE", -1, "must be at least 0"),
        ("TENURE", 1.5, "must be a whole number"),
        ("CREDIT_LIMIT", 0, "must be greater than 0"),
        ("CASH_ADVANCE_FREQUENCY", 2.5, "must be at most 2"),
        (DERIVED_NAME, -1, "must be at least 0"),
        (DERIVED_NAME, "1", "must be a number, not a string"),
    ],
)
def test_a_bad_cell_is_pointed_at(client, columns, name, cell, detail):
    columns.setdefault(name, [1.0] * 20)[13] = cell
    body = assert_problem(
        client.post(PREDICT_BATCH, {"columns": columns}), 422, "validation_failed", [f"/columns/{name}/13"]
    )
    assert body["errors"][0]["detail"] == detail


def test_only_so_many_bad_cells_are_named(client, columns):
    bad = {name: [-1] * 20 for name in columns}
    body = client.post(PREDICT_BATCH, {"columns": bad}).json()
    assert len(body["errors"]) == customers.MAX_ERRORS


def test_columns_of_too_many_rows_are_refused():
    columns = {f.name: [1] * (MAX_COLUMNAR + 1) for f in INPUTS}
    with pytest.raises(ApiError, match="values that are not allowed") as caught:
        customers.rows_of_columns(columns)
    assert [e["pointer"] for e in caught.value.errors] == [f"/columns/{INPUTS[0].name}"]


def test_big_bodies_are_answered_too(connect, tiny, columns):
    """These go through a thread."""
    client = connect(model_store=tiny.store)
    many = {name: cells * 500 for name, cells in columns.items()}
    small = client.post(PREDICT_BATCH, {"columns": columns}).json()
    large = client.post(PREDICT_BATCH, {"columns": many}).json()
    np.testing.assert_allclose(large["distance"], small["distance"] * 500, atol=2e-6)
    assert large["cluster"] == small["cluster"] * 500


@pytest.mark.parametrize("body", [[], {}, {"rows": []}, {"customers": [], "columns": {}}, None, 3, "x"])
def test_a_batch_is_records_or_columns(client, body):
    assert_problem(client.post(PREDICT_BATCH, body), 422, "validation_failed", [""])


@pytest.mark.parametrize("value", [None, "x", {}, 3])
def test_records_are_a_list_and_columns_an_object(client, value):
    assert_problem(client.post(PREDICT_BATCH, {"customers": value}), 422, "validation_failed", ["/customers"])
    if not isinstance(value, dict):
        assert_problem(client.post(PREDICT_BATCH, {"columns": value}), 422, "validation_failed", ["/columns"])


def test_the_active_model_is_described(client, tiny):
    summary = client.get(ACTIVE_MODEL).json()
    assert set(summary) >= set(ModelSummary.__annotations__)
    assert summary["version"] == ModelStore(tiny.store).versions()[0]
    assert all(set(segment) >= set(Segment.__annotations__) for segment in summary["segments"])
    assert [s["id"] for s in summary["segments"]] == ["seg-01", "seg-02", "seg-03"]
    assert summary["scores"][0]["k"] == 3


def test_another_activation_is_followed_without_a_restart(connect, store, tiny):
    from test_active_model import copy_version

    client = connect(model_store=store.directory, model_poll_seconds=0.01)
    before = client.post(PREDICT, tiny.customer()).json()
    second = copy_version(store)
    store.activate(second)
    while (after := client.post(PREDICT, tiny.customer()).json())["model_version"] != second:
        client.wait(0.01)
    assert after | {"model_version": ""} == before | {"model_version": ""}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"BALANCE": "1"}, "/BALANCE"),
        ({"BALANCE": None}, "/BALANCE"),
        ({"BALANCE": -1}, "/BALANCE"),
        ({"BALANCE": [1]}, "/BALANCE"),
        ({"TENURE": True}, "/TENURE"),
        ({"TENURE": 1.5}, "/TENURE"),
        ({"CREDIT_LIMIT": 0}, "/CREDIT_LIMIT"),
        ({"X": 1}, "/X"),
    ],
)
def test_one_fault_in_a_batch_of_equal_shape_is_found(client, tiny, change, pointer):
    """All records have as many members, so that nothing but the fault itself gives it away."""
    batch = [tiny.customer(i) for i in range(5)]
    if "X" in change:
        del batch[2]["BALANCE"]
    batch[2] |= change
    answer = client.post(PREDICT_BATCH, {"customers": batch}).json()["predictions"]
    assert [("error" in row) for row in answer] == [False, False, True, False, False]
    assert f"/customers/2{pointer}" in [e["pointer"] for e in answer[2]["error"]["errors"]]


def test_records_with_a_number_of_members_that_no_customer_has(client):
    answer = client.post(PREDICT_BATCH, {"customers": [{"BALANCE": 1}] * 2}).json()["predictions"]
    assert all("error" in row for row in answer)
