"""What the threat model (docs/threat-model.md) says and no other test shows."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.model import DOWN
from support.customers import body

from shared.features import FEATURES
from tests.conftest import ROOT

THREAT_MODEL = ROOT / "docs" / "threat-model.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
_ADDRESS = re.compile(r"(^|_)(ur[il]s?|href|callback|endpoint|webhook|host|origin|redirect)(_|$)", re.IGNORECASE)
KEPT = {"outbox", "logged", "due", "_id"}
"""Members of a stored customer that no answer has."""


def _names(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every member that a schema has, with its own schema."""
    if isinstance(schema, dict):
        for name, member in schema.get("properties", {}).items():
            yield f"{path}/{name}", member
        for key, part in schema.items():
            yield from _names(part, f"{path}/{key}")
    elif isinstance(schema, list):
        for part in schema:
            yield from _names(part, path)


def test_only_webhooks_name_an_address_that_a_server_would_go_to(gateway: FakeGateway) -> None:
    """Where else they connect to is settings alone: model service, MongoDB, issuer, traces."""
    document = gateway.anonymous.get("/openapi.json").json
    sent: list[tuple[str, Any]] = []
    for item in document["paths"].values():
        for operation in (each for each in item.values() if isinstance(each, dict)):
            sent += [(f"?{each.get('name')}", each.get("schema")) for each in operation.get("parameters", ())]
            sent += _names(operation.get("requestBody", {}))
    sent += _names({name: part for name, part in document["components"]["schemas"].items() if "Event" not in name})
    assert len(sent) > 100
    inputs = [(name, schema) for name, schema in sent if isinstance(schema, dict)]
    named = [name for name, schema in inputs if str(schema.get("format", "")).startswith(("ur", "iri"))]
    assert named == ["/NewWebhookOrder/url", "/WebhookPatch/url"], "judged by `services.webhooks.destinations`"
    asked = [name for name, _ in inputs if name.startswith("?")]
    assert [name for name in asked if _ADDRESS.search(name)] == []


@pytest.mark.parametrize("member", sorted(KEPT | {"role", "scopes", "is_admin"}))
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_nobody_writes_what_the_store_keeps_for_itself(gateway: FakeGateway, method: str, member: str) -> None:
    address = CUSTOMERS if method == "POST" else f"{CUSTOMERS}/C1"
    gateway.client.post(CUSTOMERS, json=body("C1"))
    sent = {**(body("C2") if method == "POST" else {}), member: []}
    answer = gateway.client.open(address, method=method, json=sent, headers={"Content-Type": _type_of(method)})
    assert answer.status_code == 422
    assert f"/{member}" in [fault["pointer"] for fault in answer.json["errors"]]


def _type_of(method: str) -> str:
    return "application/merge-patch+json" if method == "PATCH" else "application/json"


def test_no_answer_shows_what_the_store_keeps_for_itself(gateway: FakeGateway) -> None:
    gateway.model.failure = DOWN  # who is pending has most
    created = gateway.client.post(CUSTOMERS, json=body("C1")).json
    assert created["segment_status"] == "pending"
    known = {f.name for f in FEATURES} | {"CUST_ID", "segment", "segment_status", "revision", "seq"}
    known |= {"created_at", "updated_at"}
    listed = gateway.client.get(CUSTOMERS).json["items"][0]
    exported = json.loads(gateway.client.get("/api/v1/exports/customers?format=ndjson").data)
    gateway.client.delete(f"{CUSTOMERS}/C1")
    deleted = gateway.client.get("/api/v1/deleted-customers/C1").json
    for answer, more in ((created, {"warnings"}), (listed, set()), (exported, set()), (deleted, set())):
        shown = {name.split(".")[0] for name in answer} - more
        assert shown & KEPT == set()
        assert known - shown <= {"revision", "seq", "segment_status"}, "it shows a customer"


def test_no_event_has_features(gateway: FakeGateway) -> None:
    """Who may read events need not be somebody who may read customers."""
    gateway.client.post(CUSTOMERS, json=body("C1"))
    gateway.client.patch(f"{CUSTOMERS}/C1", json={"BALANCE": 4711.25})
    assert gateway.logged()
    text = gateway.client.get("/api/v1/events").get_data(as_text=True)
    assert "customer.updated" in text
    assert "4711.25" not in text
    assert [f.name for f in FEATURES if f'"{f.name}"' in text] == []


def test_only_the_proxy_is_published() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    services = compose["services"]
    published = {name for name, service in services.items() if service.get("ports") and not service.get("profiles")}
    assert published == {"proxy"}
    assert compose["networks"]["inside"]["internal"] is True
    for name in ("mongo", "model-service"):
        assert services[name]["networks"] == ["inside"], name
    for name, service in services.items():
        if not service.get("profiles"):
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name


def _tests_of(path: Path) -> set[str]:
    """Return the tests of a module, those of a class as ``Class::test``, and the classes."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found.add(node.name)
            found |= {f"{node.name}::{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return found


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = _TEST.findall(THREAT_MODEL.read_text(encoding="utf-8"))
    assert len(named) > 40
    missing = []
    for module, test in named:
        path = ROOT / module
        if not path.exists() or test not in _tests_of(path):
            missing.append(f"{module}::{test}")
    assert missing == []


def test_every_point_of_the_list_is_answered_with_a_test() -> None:
    text = THREAT_MODEL.read_text(encoding="utf-8")
    for number in range(1, 11):
        section = text.partition(f"### API{number}:2023")[2].partition("\n### ")[0]
        assert _TEST.search(section), f"API{number}:2023"
