"""Query strings: whatever is in them, either it is understood exactly or the parameter is named."""

from __future__ import annotations

import pytest
from fakes.gateway import FakeGateway
from fakes.registry import OLD
from hypothesis import given
from hypothesis import strategies as st
from support.addresses import example_of
from support.customers import stored
from support.problems import assert_problem

from gateway.routes import registered_pages
from gateway.schemas.queries import EXPLAIN, FORMAT, MODE, PREDICTING_VERSION, VERSION, WHOSE, QueryReader, text
from gateway.services.customers.bulk_writes import Mode
from gateway.services.errors import InvalidInput
from tests.conftest import ROOT

names = st.sampled_from(["explain", "version", "format", "k", "", "Explain", "explain "]) | st.text(max_size=4)
values = st.sampled_from(["true", "false", "active", OLD, "svg", "", "\n", f"{OLD}\n", "１"]) | st.text(max_size=6)
queries = st.lists(st.tuples(names, values), max_size=5)


def _blamed(error: InvalidInput) -> set[str]:
    return {fault["pointer"].removeprefix("?") for fault in error.errors}


@given(queries, st.sets(names))
def test_parameters_are_returned_or_blamed(query: list[tuple[str, str]], known: set[str]) -> None:
    reader = QueryReader([text(name, "") for name in known])
    given_names = [name for name, _ in query]
    wrong = {name for name in given_names if name not in known or given_names.count(name) > 1}
    if not wrong:
        assert reader.read(query) == dict(query)
        return
    with pytest.raises(InvalidInput) as caught:
        reader.read(query)
    assert _blamed(caught.value) == wrong


@given(queries)
def test_a_prediction_is_wanted_as_the_query_says(query: list[tuple[str, str]]) -> None:
    reader = QueryReader((EXPLAIN, PREDICTING_VERSION))
    said = dict(query)
    sound = len(said) == len(query) and said.keys() <= {"explain", "version"}
    sound = sound and said.get("explain", "true") in ("true", "false")
    sound = sound and said.get("version", OLD) in ("active", OLD)
    if sound:
        values = reader.read(query)
        assert (values["explain"], values.get("version")) == (said.get("explain") == "true", said.get("version"))
        return
    with pytest.raises(InvalidInput) as caught:
        reader.read(query)
    assert set() < _blamed(caught.value) <= said.keys()


def test_defaults_stand_where_nothing_is_said() -> None:
    reader = QueryReader((EXPLAIN, PREDICTING_VERSION, FORMAT, MODE))
    assert reader.read([]) == reader.defaults == {"explain": False, "format": "json", "mode": Mode.UPSERT}


@pytest.mark.parametrize("kind", ["svg", "png", "json"])
def test_formats(kind: str) -> None:
    assert QueryReader((FORMAT,)).read([("format", kind)]) == {"format": kind}


def test_a_required_parameter_is_missed() -> None:
    with pytest.raises(InvalidInput) as caught:
        QueryReader((WHOSE,)).read([])
    assert caught.value.errors == [{"pointer": "?CUST_ID", "detail": "is missing"}]


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("nothing", "is not a known parameter; the known ones are at, explain"),
        ("at[eq]", "is not a known parameter; the operators of at are lt, gte"),
        ("explain[eq]", "is not a known parameter; the known ones are at, explain"),
    ],
)
def test_who_names_an_unknown_parameter_hears_which_are_known(name: str, detail: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        QueryReader((text("at[lt]", ""), text("at[gte]", ""), EXPLAIN)).read([(name, "1")])
    assert caught.value.errors == [{"pointer": f"?{name}", "detail": detail}]


def test_versions_are_those_that_the_model_service_makes() -> None:
    """The pattern stands in both tiers, which never import each other."""
    theirs = (ROOT / "model_service" / "store" / "versions.py").read_text(encoding="utf-8")
    assert VERSION.replace("[0-9]", r"\d") in theirs


def _every_call() -> list[tuple[str, str]]:
    app, calls = FakeGateway().app, []
    pages = {route.path for route in registered_pages(app)}
    for rule in app.url_map.iter_rules():
        if rule.rule in pages:  # which ignore them: others add theirs to a link that they pass on
            continue
        path = example_of(rule.rule)
        calls += [(method, path) for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})]
    return calls


@pytest.mark.parametrize(("method", "path"), _every_call())
@pytest.mark.parametrize("query", ["nonsense=1", "limits=", "=1"])
def test_no_address_takes_a_parameter_that_it_does_not_know(
    gateway: FakeGateway, method: str, path: str, query: str
) -> None:
    gateway.store.insert(stored("A"))
    answer = gateway.client.open(f"{path}?{query}", method=method)
    assert_problem(answer, 422, "validation_failed", [f"?{query.partition('=')[0]}"])
    assert gateway.registry.orders == []
    assert gateway.model.calls == []
