from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fakes
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from model_service.api.customers import customer_model
from model_service.api.errors import field_errors, pointer
from shared import contract
from shared.features import BY_NAME, FEATURES, INPUTS, Feature, Kind

CUSTOMER = customer_model()

numbers = st.floats() | st.integers() | st.integers(-3, 15) | st.floats(-0.5, 2.5)
values = st.none() | st.booleans() | st.text(max_size=5) | st.lists(st.integers(), max_size=2) | numbers


@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
@given(value=values)
def test_pydantic_refuses_exactly_what_the_data_dictionary_refuses(tiny, feature, value):
    """Both state the hard rules: natively here, for speed, and in Feature.fault, which words the messages."""
    fault = None if value is None and feature.derive else feature.fault(value)
    customer = tiny.customer() | {feature.name: value}
    if fault is None:
        assert getattr(CUSTOMER.model_validate(customer), feature.name) == value
    else:
        with pytest.raises(ValidationError) as caught:
            CUSTOMER.model_validate(customer)
        assert field_errors(caught.value) == [{"pointer": f"/{feature.name}", "detail": fault}]


def test_missing_unknown_and_misshapen(tiny):
    customer = tiny.customer() | {"AGE": 44, "a/b~c": 1}
    del customer["BALANCE"]
    with pytest.raises(ValidationError) as caught:
        CUSTOMER.model_validate(customer)
    assert field_errors(caught.value, "/customers/3") == [
        {"pointer": "/customers/3/BALANCE", "detail": "is missing"},
        {"pointer": "/customers/3/AGE", "detail": "is not a known field"},
        {"pointer": "/customers/3/a~1b~0c", "detail": "is not a known field"},
    ]
    for value in ([], "text", None, 3):
        with pytest.raises(ValidationError) as caught:
            CUSTOMER.model_validate(value)
        assert field_errors(caught.value) == [{"pointer": "", "detail": "must be an object"}]


def test_optional_are_the_nullable_and_the_derived():
    optional = {name for name, field in CUSTOMER.model_fields.items() if not field.is_required()}
    assert optional == {f.name for f in FEATURES if f.nullable or f.derive}


def test_the_schema_shows_bounds_and_descriptions():
    properties = CUSTOMER.model_json_schema()["properties"]
    assert list(properties) == [f.name for f in FEATURES]
    for name, schema in properties.items():
        number = next(iter(schema.get("anyOf", [schema])))
        assert number["maximum"] == BY_NAME[name].maximum
        assert number.get("minimum", number.get("exclusiveMinimum")) == BY_NAME[name].minimum
        assert BY_NAME[name].description in schema["description"]


def test_one_more_feature_is_one_more_field():
    extra = Feature("LATE", Kind.COUNT, "Late payments", maximum=9)
    assert "LATE" in customer_model([*FEATURES, extra]).model_fields


SCRIPT = """
from model_service.api.customers import CustomerFeatures, rows_of_columns, rows_of_records
from model_service.api.hot.predictions import ROUTES
from shared.features import DISTANCE_NAMES
from support.one_more_feature import NAME
assert NAME in CustomerFeatures.model_fields
assert NAME in str(ROUTES[1].openapi_extra)
place = DISTANCE_NAMES.index(NAME)
customer = {name: 1 for name in DISTANCE_NAMES} | {NAME: 7}
assert rows_of_records([customer]).matrix[0, place] == 7
assert rows_of_columns({name: [value] for name, value in customer.items()})[0, place] == 7
"""


def test_an_entry_in_the_data_dictionary_is_enough_for_this_tier():
    command = [sys.executable, "-m", "support.one_more_feature", SCRIPT]
    done = subprocess.run(command, cwd=Path(fakes.__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_answers_are_documented_to_the_last_member():
    schema = TypeAdapter(contract.ModelSummary).json_schema()
    assert "scores" not in schema["required"]
    assert set(schema["properties"]) == set(contract.ModelSummary.__annotations__)
    assert set(schema["$defs"]["Quartiles"]["properties"]) == set(contract.Quartiles.__annotations__)
    batch = TypeAdapter(contract.BatchAnswer).json_schema()
    assert {"Prediction", "RowError", "Problem", "Finding"} <= set(batch["$defs"])


@pytest.mark.parametrize(("path", "expected"), [((), "/a"), (("b", 2), "/a/b/2"), (("x/y~z",), "/a/x~1y~0z")])
def test_pointers_are_escaped(path, expected):
    assert pointer("/a", path) == expected


def test_every_input_is_a_field():
    assert {f.name for f in INPUTS} <= set(CUSTOMER.model_fields)
