from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_service.training.naming import COMPOSITE_LABELS, COMPOSITES, name_segments
from shared.contract import Quartiles
from shared.features import BY_NAME

NAMES = sorted({name for features in COMPOSITES.values() for name in features})


def profile(full: float = 0.1, **positions: float) -> dict[str, Quartiles]:
    """A profile whose composites lie at `positions` (0 where not given); `full` is the mean of PRC_FULL_PAYMENT."""
    z = dict.fromkeys(NAMES, 0.0)
    for composite, value in positions.items():
        z |= dict.fromkeys(COMPOSITES[composite], value)
    return {name: Quartiles(mean=full, q25=0.0, median=0.0, q75=0.0, z=z[name]) for name in NAMES}


def test_composites_are_made_of_known_features():
    assert set(NAMES) <= set(BY_NAME)


@pytest.mark.parametrize(
    ("positions", "name"),
    [
        ({"spend": -1.4, "cash": 1.0, "debt": 0.5}, "Revolving cash-advance borrowers"),
        ({"spend": 0.3, "cash": 1.0, "debt": 0.8, "limit": 0.4}, "High-limit revolving spend-and-cash users"),
        ({"spend": 1.0, "oneoff": 0.9, "instalment": 0.8, "repayment": 0.4}, "Better-repaying all-round shoppers"),
        ({"spend": 0.4, "instalment": 0.9, "limit": -0.5}, "Low-limit instalment buyers"),
        ({"oneoff": 0.6}, "One-off shoppers"),
        ({"spend": -0.2, "cash": 0.6}, "Occasional cash users"),
        ({"spend": -0.8, "debt": -1.5}, "Low-balance dormant customers"),
        ({"spend": -0.1}, "Light users"),
        ({"spend": 0.1}, "Regular shoppers"),
        ({"spend": 0.1, "tenure": -1.5}, "New regular shoppers"),
        ({"spend": 0.1, "tenure": -1.4}, "Regular shoppers"),
        ({"spend": 0.1, "repayment": 0.35, "full": 0.5}, "Full-paying regular shoppers"),
        ({"spend": 0.1, "repayment": 0.35, "full": 0.49}, "Better-repaying regular shoppers"),
        ({"spend": 0.1, "repayment": 0.34}, "Regular shoppers"),
    ],
)
def test_the_grammar(positions, name):
    (naming,) = name_segments([profile(**positions)])
    assert naming.name == name
    assert naming.actions


def test_equal_names_are_told_apart_by_what_differs_most():
    pair = [profile(oneoff=0.6, spend=0.2), profile(oneoff=0.7, spend=0.9)]
    assert [n.name for n in name_segments(pair)] == ["One-off shoppers, lower spend", "One-off shoppers, higher spend"]
    three = [profile(oneoff=0.6, spend=s) for s in (0.1, 0.9, 0.5)]
    assert [n.name for n in name_segments(three)] == [
        "One-off shoppers, lowest spend",
        "One-off shoppers, highest spend",
        "One-off shoppers, number 2 in spend",
    ]


def test_a_name_that_is_taken_is_numbered():
    taken = ["One-off shoppers", "One-off shoppers (2)"]
    assert name_segments([profile(oneoff=0.6)], taken)[0].name == "One-off shoppers (3)"


positions = st.fixed_dictionaries({name: st.sampled_from([-1.6, -0.4, 0.0, 0.4, 1.6]) for name in COMPOSITES})


@given(st.lists(positions, min_size=1, max_size=12), st.lists(st.just("Light users"), max_size=1))
def test_names_are_unique_and_the_same_each_time(segments, taken):
    profiles = [profile(**z) for z in segments]
    names = [n.name for n in name_segments(profiles, taken)]
    assert len({*names, *taken}) == len(names) + len(taken)
    assert names == [n.name for n in name_segments(profiles, taken)]


def test_names_are_told_apart_in_words():
    pair = [profile(cash=0.6, spend=0.2, oneoff=0.1), profile(cash=0.6, spend=0.2, oneoff=0.3)]
    names = [n.name for n in name_segments(pair)]
    assert names == ["Spend-and-cash users, lower one-off purchases", "Spend-and-cash users, higher one-off purchases"]
    assert set(COMPOSITE_LABELS) == set(COMPOSITES)
