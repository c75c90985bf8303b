"""Bad customers: each gets 4xx that points at the field to blame, and nothing is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from hypothesis import given
from hypothesis import strategies as st
from support.customers import any_numbers, body, inputs
from support.problems import assert_problem

from shared.features import CUST_ID, CUST_ID_RULE, FEATURES, INPUTS, Feature

NOT_NUMBERS = [('"12"', "a string"), ('""', "a string"), ("true", "a boolean"), ("false", "a boolean")]
NOT_NUMBERS += [("[1]", "an array"), ("{}", "an object")]
# As they stand in an address: "%252F" is "%2F" to the application.
BAD_ADDRESSES = ["a%252Fb", "a%20b", "%C3%A4", "ä", "%F0%9F%99%82", "%FF", "%00", "%E2%80%AE"]
BAD_ADDRESSES += ["%2E%2E", "%2E", "a%0A", "x" * 65, "a%3Fb", "a;b", "a+b", "$ne", "{'$gt': ''}"]
each_feature = pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)


def _assert_refused_everywhere(gateway: FakeGateway, name: str, literal: str) -> str:
    """Assert that the value is refused on create, replace, patch and predict; return the reason."""
    text = json.dumps(inputs() | {name: "@"}).replace('"@"', literal)
    created = gateway.send("POST", CUSTOMERS, text.replace("{", f'{{"{CUST_ID}": "C1", ', 1))
    replaced = gateway.send("PUT", f"{CUSTOMERS}/C1", text)
    predicted = gateway.send("POST", "/api/v1/predictions", text)
    patched = gateway.send("PATCH", f"{CUSTOMERS}/C1", f'{{"{name}": {literal}}}')
    answers = [created, replaced, predicted, patched]
    reasons = {assert_problem(a, 422, "validation_failed", [f"/{name}"])["errors"][0]["detail"] for a in answers}
    assert gateway.store.customers == {}
    assert gateway.model.calls == []
    (reason,) = reasons
    return reason


@each_feature
def test_values_out_of_bounds(gateway: FakeGateway, feature: Feature) -> None:
    below = "0" if feature.exclusive_minimum else repr(feature.minimum - 1)
    bound = "greater than" if feature.exclusive_minimum else "at least"
    assert _assert_refused_everywhere(gateway, feature.name, below) == f"must be {bound} {feature.minimum:g}"
    above = repr(feature.maximum * 1.001)
    assert _assert_refused_everywhere(gateway, feature.name, above) == f"must be at most {feature.maximum:g}"
    assert "at most" in _assert_refused_everywhere(gateway, feature.name, "1e308")


@pytest.mark.parametrize("feature", [f for f in INPUTS if f.whole], ids=lambda f: f.name)
def test_fractions_of_whole_things(gateway: FakeGateway, feature: Feature) -> None:
    assert _assert_refused_everywhere(gateway, feature.name, "6.5") == "must be a whole number"


@pytest.mark.parametrize("feature", [f for f in INPUTS if not f.nullable], ids=lambda f: f.name)
def test_null_where_a_value_is_required(gateway: FakeGateway, feature: Feature) -> None:
    assert _assert_refused_everywhere(gateway, feature.name, "null") == "must not be null"


@each_feature
@pytest.mark.parametrize(("literal", "kind"), NOT_NUMBERS)
def test_what_is_no_number(gateway: FakeGateway, feature: Feature, literal: str, kind: str) -> None:
    assert _assert_refused_everywhere(gateway, feature.name, literal) == f"must be a number, not {kind}"


@pytest.mark.parametrize("feature", [f for f in INPUTS if not f.nullable], ids=lambda f: f.name)
def test_a_missing_feature(gateway: FakeGateway, feature: Feature) -> None:
    sent = body()
    del sent[feature.name]
    for answer in (gateway.client.post(CUSTOMERS, json=sent), gateway.client.put(f"{CUSTOMERS}/C1", json=sent)):
        problem = assert_problem(answer, 422, "validation_failed", [f"/{feature.name}"])
        assert problem["errors"][0]["detail"] == "is missing"
    assert gateway.store.customers == {}


def test_every_wrong_field_is_named_at_once(gateway: FakeGateway) -> None:
    answer = gateway.client.post(CUSTOMERS, json={"BALANCE": -1, "colour": "red", "a/b~c": 1})
    wrong = {f"/{f.name}" for f in INPUTS if not f.nullable} | {f"/{CUST_ID}", "/colour", "/a~1b~0c"}
    assert_problem(answer, 422, "validation_failed", sorted(wrong))


@pytest.mark.parametrize("name", ["segments", "id", "_id", "balance", "", "$where", "BALANCE "])
def test_unknown_fields(gateway: FakeGateway, name: str) -> None:
    answer = gateway.client.post(CUSTOMERS, json={**body(), name: 1})
    problem = assert_problem(answer, 422, "validation_failed", [f"/{name}"])
    assert problem["errors"][0]["detail"] == "is not a known field"
    assert gateway.store.customers == {}


@pytest.mark.parametrize("text", ["[]", "1", "null", '"C1"', "true", "[{}]"])
def test_bodies_that_are_no_object(gateway: FakeGateway, text: str) -> None:
    for method, path in (("POST", CUSTOMERS), ("PUT", f"{CUSTOMERS}/C1"), ("PATCH", f"{CUSTOMERS}/C1")):
        problem = assert_problem(gateway.send(method, path, text), 422, "validation_failed", [""])
        assert problem["errors"][0]["detail"] == "must be an object"


@pytest.mark.parametrize(
    "literal",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e400",
        "1_000",
        "01",
        "+1",
        "0x10",
        ".5",
        "1.",
        "nan",
        "undefined",
        "1" * 400,
    ],
)
def test_numbers_that_json_does_not_have(gateway: FakeGateway, literal: str) -> None:
    text = json.dumps(body()).replace("100.0", literal, 1)
    for method, path in (("POST", CUSTOMERS), ("PUT", f"{CUSTOMERS}/C1"), ("POST", "/api/v1/predictions")):
        assert_problem(gateway.send(method, path, text), 400, "malformed_json")
    assert_problem(gateway.send("PATCH", f"{CUSTOMERS}/C1", f'{{"BALANCE": {literal}}}'), 400, "malformed_json")
    assert gateway.store.customers == {}


@pytest.mark.parametrize("twice", ['"BALANCE": 1, "BALANCE": 1', '"BALANCE": 1, "BALAN\\u0043E": 2'])
def test_a_field_given_twice(gateway: FakeGateway, twice: str) -> None:
    text = json.dumps(body()).replace('"BALANCE": 100.0', twice)
    assert "'BALANCE' twice" in assert_problem(gateway.send("POST", CUSTOMERS, text), 400, "malformed_json")["detail"]
    assert_problem(gateway.send("PATCH", f"{CUSTOMERS}/C1", f"{{{twice}}}"), 400, "malformed_json")
    assert gateway.store.customers == {}


@pytest.mark.parametrize("depth", [33, 1_000, 1_020, 100_000])
def test_deep_nesting_even_where_a_duplicate_hides_it(gateway: FakeGateway, depth: int) -> None:
    nested = "[" * depth + "]" * depth
    for text in (nested, f'{{"BALANCE": {nested}, "BALANCE": 1}}'):
        assert_problem(gateway.send("POST", CUSTOMERS, text), 400, "malformed_json")


def test_a_body_of_ten_megabytes(gateway: FakeGateway) -> None:
    text = json.dumps({**body(), "note": "x" * 10_000_000})
    for method, path in (("POST", CUSTOMERS), ("PUT", f"{CUSTOMERS}/C1"), ("POST", "/api/v1/predictions")):
        assert_problem(gateway.send(method, path, text), 413, "body_too_large")
    assert gateway.store.customers == {}


@pytest.mark.parametrize("cust_id", ["", "a/b", "a%2Fb", "a b", "ä", "\u202e", "x" * 65, ".", "..", "a\n", "\0", "🙂"])
def test_ids_in_a_body_that_no_address_can_name(gateway: FakeGateway, cust_id: str) -> None:
    answer = gateway.client.post(CUSTOMERS, json=body(cust_id))
    problem = assert_problem(answer, 422, "validation_failed", [f"/{CUST_ID}"])
    assert problem["errors"][0]["detail"] == ("is empty" if cust_id == "" else CUST_ID_RULE)
    assert gateway.store.customers == {}


@pytest.mark.parametrize(("value", "kind"), [(1, "a number"), (True, "a boolean"), ([], "an array"), ({}, "an object")])
def test_ids_in_a_body_of_another_type(gateway: FakeGateway, value: object, kind: str) -> None:
    problem = assert_problem(
        gateway.client.post(CUSTOMERS, json=body() | {CUST_ID: value}), 422, "validation_failed", [f"/{CUST_ID}"]
    )
    assert problem["errors"][0]["detail"] == f"must be a string, not {kind}"


@pytest.mark.parametrize("missing", [{}, {CUST_ID: None}])
def test_a_body_without_an_id(gateway: FakeGateway, missing: dict[str, Any]) -> None:
    answer = gateway.client.post(CUSTOMERS, json=inputs() | missing)
    assert_problem(answer, 422, "validation_failed", [f"/{CUST_ID}"])


@pytest.mark.parametrize("written", BAD_ADDRESSES)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_ids_in_an_address_that_break_the_rule(gateway: FakeGateway, method: str, written: str) -> None:
    sent = {"PUT": inputs(), "PATCH": {}}.get(method)
    answer = gateway.client.open(f"{CUSTOMERS}/{written}", method=method, json=sent)
    problem = assert_problem(answer, 422, "validation_failed", [f"/{CUST_ID}"])
    assert CUST_ID_RULE in problem["errors"][0]["detail"]
    assert gateway.store.customers == {}


@pytest.mark.parametrize(
    "written", ["a/b", "a%2Fb", "C1/", "C1/nonsense", "C1/segment/", "C1/segment/x", "a/b/segment"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_what_lies_below_a_customer_without_being_anything(gateway: FakeGateway, method: str, written: str) -> None:
    """An id with a slash is one such address, however the slash is written."""
    answer = gateway.client.open(f"{CUSTOMERS}/{written}", method=method, json={})
    assert CUST_ID_RULE in assert_problem(answer, 404, "not_found")["detail"]
    assert gateway.store.customers == {}


# Any JSON value in any field: either refused with a pointer to that field, or stored as it was sent.
_json_values = (
    any_numbers().filter(lambda v: v is None or v - v == 0)
    | st.booleans()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.lists(st.integers(), max_size=2)
)


@given(st.sampled_from(FEATURES), _json_values)
def test_any_value_is_refused_by_name_or_stored_as_sent(feature: Feature, value: Any) -> None:
    gateway = FakeGateway()
    answer = gateway.client.post(CUSTOMERS, json=body(**{feature.name: value}))
    if answer.status_code == 201:
        assert answer.json[feature.name] == value or feature.derive
        assert list(gateway.store.customers) == ["C1"]
    else:
        assert_problem(answer, 422, "validation_failed", [f"/{feature.name}"])
        assert gateway.store.customers == {}


@given(st.binary(max_size=60))
def test_any_bytes_are_answered_with_a_problem(text: bytes) -> None:
    gateway = FakeGateway()
    answer = gateway.send("POST", CUSTOMERS, text)
    assert answer.status_code in (400, 422)
    assert_problem(
        answer, answer.status_code, answer.json["code"], [e["pointer"] for e in answer.json.get("errors", [])]
    )
