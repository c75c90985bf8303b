"""How segments differ, and how that is said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pages import segment_words as words
from gateway.services.models.differences import Centre, Difference, centres_of_all, differences


def segment(size: int, **means: float) -> Any:
    return {"training_size": size, "profile": {name: {"mean": mean, "z": 0.0} for name, mean in means.items()}}


def said(feature: str, effect: float, one: float = 2.0, other: float = 1.0) -> Difference:
    return Difference(feature, one, other, effect)


def test_all_customers_are_the_segments_by_their_sizes() -> None:
    assert centres_of_all([segment(300, BALANCE=10.0), segment(100, BALANCE=50.0)]) == {"BALANCE": Centre(20.0, 0.0)}
    assert centres_of_all([segment(0, BALANCE=10.0)]) == {}


def test_the_largest_effect_comes_first_and_what_only_one_side_has_is_left_out() -> None:
    one = {"BALANCE": Centre(5, 0.5), "PURCHASES": Centre(1, -1.0), "TENURE": Centre(12, 0.1)}
    other = {"BALANCE": Centre(4, 0.2), "PURCHASES": Centre(2, 0.5)}
    found = differences(one, other)
    assert [(each.feature, round(each.effect, 3)) for each in found] == [("PURCHASES", -1.5), ("BALANCE", 0.3)]


@given(st.dictionaries(st.sampled_from("ABCDE"), st.builds(Centre, st.floats(0, 1e6), st.floats(-5, 5)), min_size=1))
def test_the_other_way_round_is_the_opposite(one: dict[str, Centre]) -> None:
    other = {name: Centre(each.mean / 2, each.z / 3) for name, each in one.items()}
    there = {each.feature: each.effect for each in differences(one, other)}
    back = {each.feature: each.effect for each in differences(other, one)}
    assert there == {name: -effect for name, effect in back.items()}


@pytest.mark.parametrize(
    ("effect", "text"),
    [
        (1.4, "much higher"),
        (0.5, "clearly higher"),
        (0.2, "slightly higher"),
        (0.19, "about the same"),
        (-0.1, "about the same"),
    ],
)
def test_the_degree_follows_cohen(effect: float, text: str) -> None:
    assert words.degree(said("BALANCE", effect)) == text


def test_where_a_few_large_amounts_turn_the_average_round_that_is_said() -> None:
    assert words.degree(said("PURCHASES", -0.9)) == "lower for most of them, though not on average"


def test_a_difference_has_its_values_in_the_currency() -> None:
    text = words.sentence(said("CASH_ADVANCE", 1.1, 2098.6, 300.2), "EUR")
    assert text == "Cash advances in 12 months: €2,099 against €300 – much higher"
    assert words.sentence(said("UTILISATION", -0.6, 0.3, 0.5), "EUR").startswith("Credit limit in use: 30% against 50%")


def test_who_they_are_names_what_tells_most_and_nothing_twice() -> None:
    found = [
        said("PURCHASES_TRX", 2.0),
        said("ONEOFF_PURCHASES", 1.5, 500, 100),
        said("PURCHASES", 1.4, 900, 400),
        said("BALANCE", -0.9, 50, 100),
        said("CASH_ADVANCE", -0.8, 300, 200),
        said("PRC_FULL_PAYMENT", 0.6, 0.3, 0.1),
        said("TENURE", 0.5, 12, 11),
    ]
    assert words.who_they_are(found, "EUR") == (
        "Compared with the average customer, they spend more on one-off purchases (€500 instead of €100 in 12 months), "
        "owe less (€50 instead of €100) and pay in full more often (30% instead of 10% of months)."
    )
    assert "higher limit (€2 instead of €1)." in words.who_they_are([said("CREDIT_LIMIT", 0.3)], "EUR")
    assert words.who_they_are([said("BALANCE", 0.1)], "EUR") == "They are much like the average customer."


def test_what_differs_most_is_filled_up_with_what_else_is_clear() -> None:
    found = [
        said("PURCHASES_TRX", -2.0, 1.0, 2.0),
        said("PURCHASES", -1.5, 1.0, 2.0),
        said("ONEOFF_PURCHASES", -1.4, 1.0, 2.0),
        said("PURCHASES_FREQUENCY", -1.2),
        said("UTILISATION", 0.9),
        said("BALANCE", 0.3),
    ]
    named = [each.feature for each in words.differing_most(found, 5)]
    assert named == ["PURCHASES_TRX", "PURCHASES", "UTILISATION"], (
        "no parts, nothing slight, nothing that averages deny"
    )
    assert [each.feature for each in words.differing_most(found, 2)] == ["PURCHASES_TRX", "PURCHASES"]
    assert [each.feature for each in words.differing_most([said("BALANCE", 0.3)], 5)] == ["BALANCE"]


def test_a_rule_says_a_range_in_one() -> None:
    conditions: Any = [
        {"feature": "BALANCE", "operator": ">", "value": 1000.0},
        {"feature": "BALANCE", "operator": "<=", "value": 5000.0},
        {"feature": "CASH_ADVANCE_TRX", "operator": "<=", "value": 3.0},
    ]
    assert words.rule_words(conditions, "EUR") == [
        "Average balance owed above €1,000 and at most €5,000",
        "Number of cash advances at most 3",
    ]


def test_what_a_newer_model_service_has_goes_by_its_name() -> None:
    assert (words.label("NEW"), words.meaning("NEW")) == ("NEW", "")
