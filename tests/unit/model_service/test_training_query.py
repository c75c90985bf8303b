"""The query of ``POST /v1/models``, as FastAPI and the service's own checks read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from asgi_client import AsgiClient
from hypothesis import given
from hypothesis import strategies as st

from model_service.api import trainings
from model_service.api.trainings import TrainingQuery
from model_service.app import create_app
from model_service.settings import Settings
from shared.model_contract import CSV, MODELS, TrainingOptions


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what a training is told by a query, or the pointers to what is refused of it; nothing is trained."""
    told: list[tuple[TrainingOptions, str, str]] = []

    def begin(_jobs: Any, _draft: Any, query: TrainingQuery, options: TrainingOptions, *_: Any) -> Any:
        told.append((options, query.by, query.note))
        raise InterruptedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainings, "_begin", begin)
        store = tmp_path_factory.mktemp("asked") / "models"
        with AsgiClient(create_app(Settings(model_store=store))) as client:

            def ask(query: str) -> Any:
                told.clear()
                answer = client.request("POST", f"{MODELS}?{query}", b"x", {"content-type": CSV})
                if told:
                    return told[0]
                assert (answer.status, answer.json()["code"]) == (422, "validation_failed"), answer.body
                assert all(error["detail"] for error in answer.json()["errors"])
                return [error["pointer"] for error in answer.json()["errors"]]

            yield ask


Ask = Callable[[str], Any]


def test_who_and_why_are_said_as_for_an_activation(ask: Ask) -> None:
    _, by, note = ask("by=%20Ann%20&note=" + "x" * 990 + "%0Ay%20")
    assert (by, note) == ("Ann", "x" * 990 + "\ny")


def test_without_a_query_the_rule_chooses_k_and_nothing_is_activated(ask: Ask) -> None:
    assert ask("") == (TrainingOptions(k_min=3, k_max=8, seed=0, activate=False), "", "")


def test_everything_can_be_said(ask: Ask) -> None:
    query = "k_min=2&k_max=20&seed=4294967295&activate=true&by=Ann%20B&note=%C3%BCber"
    assert ask(query) == (TrainingOptions(k_min=2, k_max=20, seed=2**32 - 1, activate=True), "Ann B", "über")
    columns = ask("columns=CUST_ID:Konto,BALANCE:Saldo")[0]["columns"]
    assert columns == {"CUST_ID": "Konto", "BALANCE": "Saldo"}
    assert ask("k=6")[0] == TrainingOptions(k_min=6, k_max=6, seed=0, activate=False)


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
        ("columns=Saldo", ["?columns"]),
        ("columns=SALDO:x", ["?columns"]),
        ("columns=", ["?columns"]),
        ("seed=-1", ["?seed"]),
        ("seed=4294967296", ["?seed"]),
        ("activate=maybe", ["?activate"]),
        ("activate=", ["?activate"]),
        ("by=" + "x" * 201, ["?by"]),
        ("note=" + "x" * 1001, ["?note"]),
        ("by=a%0Ab&note=%1B", ["?by", "?note"]),
        ("by=%00&note=%00", ["?by", "?note"]),
        ("by=%E2%80%AE", ["?by"]),
        ("force=true", ["?force"]),
        ("K=3&k=99", ["?K", "?k"]),
        ("seed=1&seed=2&version=active", ["?seed"]),
        ("seed=-1&version=active", ["?seed", "?version"]),
    ],
)
def test_what_is_not_allowed_is_named(ask: Ask, query: str, pointers: list[str]) -> None:
    assert sorted(ask(query)) == sorted(pointers)


@given(st.lists(st.tuples(st.sampled_from([*TrainingQuery.model_fields, "x"]), st.text(max_size=5)), max_size=5))
def test_whatever_is_asked_is_understood_or_refused(ask: Ask, pairs: list[tuple[str, str]]) -> None:
    found = ask(urlencode(pairs))
    if isinstance(found, list):
        assert found
        assert set(found) <= {f"?{name}" for name, _ in [*pairs, ("k_min", "")]}
    else:
        assert 2 <= found[0]["k_min"] <= found[0]["k_max"] <= 20
