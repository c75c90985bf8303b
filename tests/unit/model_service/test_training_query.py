from __future__ import annotations

from urllib.parse import urlencode

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from model_service.api.errors import ApiError
from model_service.api.training_query import Asked, TrainingQuery, asked
from shared.model_contract import TrainingOptions


def ask(query: str) -> Asked:
    return asked(Request({"type": "http", "query_string": query.encode("latin-1"), "headers": []}))


def test_who_and_why_are_said_as_for_an_activation():
    texts = ask("by=%20Ann%20&note=" + "x" * 990 + "%0Ay%20")
    assert (texts.by, texts.note) == ("Ann", "x" * 990 + "\ny")


def refused(query: str) -> list[str]:
    with pytest.raises(ApiError) as caught:
        ask(query)
    assert (caught.value.status, caught.value.code) == (422, "validation_failed")
    assert all(error["detail"] for error in caught.value.errors or ())
    return [error["pointer"] for error in caught.value.errors or ()]


def test_without_a_query_the_rule_chooses_k_and_nothing_is_activated():
    assert ask("") == Asked(TrainingOptions(k_min=3, k_max=8, seed=0, activate=False), "", "")


def test_everything_can_be_said():
    query = "k_min=2&k_max=20&seed=4294967295&activate=true&by=Ann%20B&note=%C3%BCber"
    assert ask(query) == Asked(TrainingOptions(k_min=2, k_max=20, seed=2**32 - 1, activate=True), "Ann B", "über")
    assert ask("k=6").options == TrainingOptions(k_min=6, k_max=6, seed=0, activate=False)


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("k=1", ["?k"]),
        ("k=21", ["?k"]),
        ("k=six", ["?k"]),
        ("k=", ["?k"]),
        ("k=6.5", ["?k"]),
        ("k=6&k=6", ["?k"]),
        ("k=6&k_max=8", ["?k_max"]),
        ("k=6&k_min=3&k_max=8", ["?k_min", "?k_max"]),
        ("k_min=8&k_max=3", ["?k_min"]),
        ("k_min=9", ["?k_min"]),
        ("k_max=2", ["?k_min"]),
        ("seed=-1", ["?seed"]),
        ("seed=4294967296", ["?seed"]),
        ("activate=maybe", ["?activate"]),
        ("activate", ["?activate"]),
        ("by=" + "x" * 201, ["?by"]),
        ("note=" + "x" * 1001, ["?note"]),
        ("by=a%0Ab&note=%1B", ["?by", "?note"]),
        ("by=%00&note=%00", ["?by", "?note"]),
        ("by=%E2%80%AE", ["?by"]),
        ("force=true", ["?force"]),
        ("K=3&k=99", ["?K", "?k"]),
        ("seed=1&seed=-1&version=active", ["?seed", "?seed", "?version"]),
    ],
)
def test_what_is_not_allowed_is_named(query, pointers):
    assert sorted(refused(query)) == sorted(pointers)


@given(st.lists(st.tuples(st.sampled_from([*TrainingQuery.model_fields, "x"]), st.text(max_size=5)), max_size=5))
def test_whatever_is_asked_is_understood_or_refused(pairs):
    pointers, options = set(), None
    try:
        options = ask(urlencode(pairs)).options
    except ApiError as error:
        pointers = {fault["pointer"] for fault in error.errors or ()}
    assert pointers <= {f"?{name}" for name, _ in [*pairs, ("k_min", "")]}
    assert bool(pointers) == (options is None)
    if options:
        assert 2 <= options["k_min"] <= options["k_max"] <= 20
