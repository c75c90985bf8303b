"""The short way through the customer schema and marshmallow's own agree on everything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError
from support.customers import body

from gateway.schemas.customers import customer_schema, patch_schema
from shared.features import CUST_ID, FEATURES

SCHEMAS = {"whole": customer_schema(), "id optional": customer_schema(id_required=False), "patch": patch_schema()}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 20),
    st.floats(),
    st.text(max_size=3),
    st.just([]),
    st.sampled_from([12.0, -0.0]),
)
NAMES = st.sampled_from([CUST_ID, *(f.name for f in FEATURES), "COLOUR", "_schema"])


def outcome(load: Any, data: Any) -> Any:
    try:
        return {name: (type(value), value) for name, value in load(data).items()}
    except ValidationError as error:
        return error.messages


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@given(changes=st.dictionaries(NAMES, VALUES, max_size=4), without=st.sets(NAMES, max_size=2))
def test_both_ways_agree(schema: Schema, changes: dict[str, Any], without: set[str]) -> None:
    data = {name: value for name, value in {**body(), **changes}.items() if name not in without}
    assert outcome(schema.load, data) == outcome(lambda d: Schema.load(schema, d), data)


@pytest.mark.parametrize("data", [None, [], "x", 1, True, [body()]])
def test_what_is_no_object_is_refused(data: Any) -> None:
    with pytest.raises(ValidationError, match="must be an object"):
        SCHEMAS["whole"].load(data)


def test_a_faultless_customer_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Schema, "load", lambda *_: pytest.fail("took the long way"))
    assert SCHEMAS["whole"].load(body())[CUST_ID] == body()[CUST_ID]
