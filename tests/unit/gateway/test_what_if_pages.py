"""What if: the form, as the data dictionary has it, and what it begins with."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from fakes.api_keys import ADMIN_KEY, key_of
from fakes.gateway import CUSTOMERS, FakeGateway
from hypothesis import given
from hypothesis import strategies as st
from support.customers import body
from support.sessions import browser_of

from gateway.pages.controllers.what_if import _written
from gateway.services.errors import StoreUnavailable
from gateway.services.models.descriptions import Description
from gateway.services.principal import Scope
from shared.features import BY_NAME, INPUT_NAMES, INPUTS, Kind

KEY = "csk_000000000007_" + "k" * 43
TYPICAL = dict.fromkeys(INPUT_NAMES, 0.25) | {"TENURE": 9, "CREDIT_LIMIT": None, "PURCHASES_TRX": 4}


def keep_description(gateway: FakeGateway) -> None:
    member = {"line": 1, "confidence": 1.0, "distance": 0.1, "rival": "seg-02", "values": TYPICAL}
    segments = [
        {"id": "seg-01", "name": "Small <b>", "size": 5, "typical": [member | {"values": TYPICAL | {"TENURE": 3}}]},
        {"id": "seg-02", "name": "Large", "size": 50, "typical": [member]},
        {"id": "seg-03", "name": "Of before", "size": 90},
    ]
    gateway.descriptions.keep(Description("v1", segments, datetime(2026, 1, 1)))  # type: ignore[arg-type]


def fields(
    gateway: FakeGateway, query: str = "", status: int = 200, key: str = ADMIN_KEY
) -> tuple[dict[str, str], str]:
    answer = browser_of(gateway, key).get(f"/what-if{query}")
    assert answer.status_code == status
    text = " ".join(answer.text.split())
    return dict(
        re.findall(r'<input id="(\w+)" name="\1" type="number" inputmode="decimal" value="([^"]*)"', text)
    ), text


def test_has_a_field_for_each_input_with_label_unit_bounds_and_hint(gateway: FakeGateway) -> None:
    found, text = fields(gateway)
    assert set(found) == set(INPUT_NAMES)
    for feature in INPUTS:
        assert f'<label for="{feature.name}">{feature.label}</label>' in text
        assert feature.plain in text
        tag = re.search(f'<input id="{feature.name}"[^>]*>', text)
        assert tag
        scale = 100 if feature.kind is Kind.FREQUENCY else 1
        assert f'max="{feature.maximum * scale:.0f}"' in tag[0]
        assert ("required" in tag[0]) != feature.nullable
        assert (f'step="{1 if feature.whole else "any"}"') in tag[0]


def test_begins_with_a_typical_customer_of_the_largest_segment_or_of_the_chosen_one(gateway: FakeGateway) -> None:
    keep_description(gateway)
    found, text = fields(gateway)
    assert (found["TENURE"], found["CREDIT_LIMIT"], found["PURCHASES_TRX"]) == ("9", "", "4")
    assert (found["PURCHASES"], found["PURCHASES_FREQUENCY"]) == ("0.25", "25")
    assert '<option value="seg-02" selected>Large' in text
    assert "Small &lt;b&gt;" in text
    assert "Of before" not in text, "nobody is known who is typical of it"
    assert fields(gateway, "?start=seg-01")[0]["TENURE"] == "3"
    assert fields(gateway, "?start=nonsense")[0]["TENURE"] == "9"


def test_begins_with_a_stored_customer(gateway: FakeGateway) -> None:
    gateway.client.post(CUSTOMERS, json=body("A", BALANCE=1234.5, PURCHASES_FREQUENCY=1 / 3, MINIMUM_PAYMENTS=None))
    found, text = fields(gateway, "?customer=%20A%20")
    assert (found["BALANCE"], found["PURCHASES_FREQUENCY"], found["MINIMUM_PAYMENTS"]) == ("1234.5", "33.3333", "")
    assert 'href="/customers/A"' in text


@pytest.mark.parametrize("wanted", ["nobody", "%3Cscript%3E", "a%2Fb", "%00"])
def test_says_who_cannot_be_the_beginning(gateway: FakeGateway, wanted: str) -> None:
    found, text = fields(gateway, f"?customer={wanted}", 404)
    assert "This customer cannot be the beginning." in text
    assert "<script>" not in text.partition("<main")[2]
    assert found["TENURE"] == "12", "the page is there all the same"


def test_without_anything_known_it_begins_with_who_did_nothing(gateway: FakeGateway) -> None:
    gateway.descriptions.failure = StoreUnavailable("The database cannot be reached.")
    found, _ = fields(gateway)
    assert (found["BALANCE"], found["TENURE"], found["CREDIT_LIMIT"]) == ("0", "12", "")


def test_a_key_for_predictions_alone_sees_neither_customers_nor_segments(gateway: FakeGateway) -> None:
    gateway.keys.insert(key_of(KEY, [Scope.PREDICTIONS]))
    gateway.client.post(CUSTOMERS, json=body("A"))
    keep_description(gateway)
    _, text = fields(gateway, key=KEY)
    assert "Begin with" not in text
    _, text = fields(gateway, "?customer=A", 404, KEY)
    assert "Your key does not show stored customers." in text


@given(st.sampled_from(INPUTS), st.floats(0, 1))
def test_what_stands_in_a_field_is_the_value(feature: object, share: float) -> None:
    feature = BY_NAME[feature.name]  # type: ignore[attr-defined]
    value = round(share * min(feature.maximum, 1000)) if feature.whole else share * min(feature.maximum, 1000)
    scale = 100 if feature.kind is Kind.FREQUENCY else 1
    assert float(_written(feature, {feature.name: value})) == pytest.approx(value * scale, abs=0.005)
