"""The OpenAPI document is sound, and says everything that there is: routes, scopes, parameters, errors."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from fakes.gateway import FakeGateway
from openapi_spec_validator import validate
from support.addresses import routes_of
from support.documented import Documented

from gateway.middleware.errors import STATUSES
from gateway.openapi import headers
from gateway.openapi.components import ORDERS
from gateway.openapi.problems import known_problems
from gateway.routes import API, Route, registered, registered_pages
from gateway.routes import address as address_of
from gateway.schemas.queries import TRAINING
from model_service.api.models import Activate, Rollback
from model_service.api.trainings import TrainingQuery
from model_service.store.labels import LabelPatch

_GATEWAY = FakeGateway()
ROUTES: dict[str, tuple[str, Route]] = {
    f"{route.method} {address_of(rule)}": (rule, route) for rule, route in routes_of(_GATEWAY.app)
}
OPERATIONS = {key: route.operation for key, (_, route) in ROUTES.items()}


@pytest.fixture(scope="module")
def documented() -> Documented:
    return Documented(FakeGateway().client.get("/openapi.json").get_json())


@pytest.fixture
def document(documented: Documented) -> dict[str, Any]:
    return documented.document


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_every_route_is_described_and_nothing_else_is(documented: Documented) -> None:
    assert {f"{method} {address}" for method, address in documented.by_address} == set(ROUTES)


def test_every_route_of_the_application_is_in_the_tables() -> None:
    rules = {(rule.rule, rule.endpoint.partition(" ")[0]) for rule in _GATEWAY.app.url_map.iter_rules()}
    pages = {(route.path, route.method) for route in registered_pages(_GATEWAY.app)}
    assert rules - pages == {(rule, route.method) for rule, route in ROUTES.values()}


@pytest.mark.parametrize("key", ROUTES)
def test_every_address_is_the_one_that_its_controller_states(key: str) -> None:
    """Clients call these addresses: a table that was renamed by mistake would otherwise agree with its own document."""
    method, stated = (inspect.getdoc(ROUTES[key][1].view) or "").split()[:2]
    names = re.compile(r"{\w+}")
    assert f"{method} {names.sub('{}', re.split('[?:;]', stated)[0].rstrip('.'))}" == names.sub("{}", key).replace(
        API, "", 1
    )


def test_operations_have_names_of_their_own() -> None:
    names = [operation.id for operation in OPERATIONS.values()]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z]+([A-Z][A-Za-z]+)*", name) for name in names)


def test_resources_have_names_of_their_own() -> None:
    resources = registered(_GATEWAY.app)
    assert len({resource.name for resource in resources}) == len(resources)


@pytest.mark.parametrize("key", ROUTES)
def test_every_scope_is_told(key: str, documented: Documented) -> None:
    method, _, address = key.partition(" ")
    operation, scope = documented.by_address[method, address].operation, ROUTES[key][1].scope
    assert operation["security"] == ([{"apiKey": [scope]}, {"token": [scope]}, {"session": [scope]}] if scope else [])
    assert (f"`{scope}`" in operation["description"]) == (scope is not None)
    assert ("401" in operation["responses"]) == (scope is not None)


@pytest.mark.parametrize("key", ROUTES)
def test_every_parameter_is_told(key: str, documented: Documented) -> None:
    method, _, address = key.partition(" ")
    listed = [documented.resolved(p) for p in documented.by_address[method, address].operation["parameters"]]
    told = {(p["in"], p["name"]) for p in listed}
    rule, route = ROUTES[key]
    assert {name for kind, name in told if kind == "query"} == {p.name for p in route.parameters}
    assert {name for kind, name in told if kind == "path"} == set(re.findall(r"{(\w+)}", address_of(rule)))
    assert ("header", headers.REQUEST_ID) in told
    assert [p["name"] for p in listed if not p.get("description")] == []
    assert [p["name"] for p in listed if "type" not in p["schema"]] == []


def test_every_link_leads_to_an_operation_with_such_parameters(documented: Documented) -> None:
    for described in documented.operations.values():
        for response in described.operation["responses"].values():
            for link in documented.resolved(response).get("links", {}).values():
                target = [
                    documented.resolved(p) for p in documented.operations[link["operationId"]].operation["parameters"]
                ]
                known = {p["name"] for p in target} | {f"{p['in']}.{p['name']}" for p in target}
                assert set(link["parameters"]) <= known


def test_every_problem_is_known_with_a_meaning() -> None:
    known = known_problems()
    assert {code for _, code in STATUSES.values()} <= set(known)
    assert [code for code, problem in known.items() if not problem.text] == []
    named = {code for operation in OPERATIONS.values() for code in operation.problems}
    assert named <= set(known)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_no_operation_repeats_or_forgets_itself(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation.summary
    assert not operation.summary.endswith(".")
    assert operation.answers
    assert all(200 <= status < 400 for status in operation.answers)


@pytest.mark.parametrize(
    ("told", "judge"),
    [("ActivationOrder", Activate), ("Rollback", Rollback), ("SegmentLabel", LabelPatch)],
    ids=["activate", "roll back", "label"],
)
def test_orders_are_those_that_the_model_service_takes(told: str, judge: Any) -> None:
    schema = judge.model_json_schema()
    assert ORDERS[told]["additionalProperties"] is schema["additionalProperties"] is False
    assert {n: _core(p) for n, p in ORDERS[told]["properties"].items()} == {
        n: _core(p) for n, p in schema["properties"].items()
    }


def test_training_parameters_are_those_that_the_model_service_takes() -> None:
    schema = TrainingQuery.model_json_schema()["properties"]
    told = {p.name: _core(dict(p.schema)) for p in TRAINING}
    assert told.pop("activate") == {"type": ["boolean"]}
    assert schema.pop("activate")["enum"] == ["true", "false"]
    taken = {name: _core(part) for name, part in schema.items()}
    for name in ("k", "columns"):  # absent, in a query string
        taken[name]["type"].remove("null")
    assert told == taken


def _core(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what a schema demands, whether it says null as a type or as an alternative, and what its items are."""
    parts = schema.get("anyOf", [schema])
    kinds = [kind for part in parts for kind in (part["type"] if isinstance(part["type"], list) else [part["type"]])]
    bounded = {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"}
    bounds = {n: v for part in parts for n, v in part.items() if n in bounded}
    items = [part["items"] for part in parts if "items" in part]
    return {"type": sorted(kinds, key="null".__eq__), **bounds, **({"items": _core(items[0])} if items else {})}
