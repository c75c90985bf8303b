"""Real answers are as documented, and so are the examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes.gateway import FakeGateway
from support.addresses import routes_of
from support.api_story import CHAPTERS
from support.documented import Documented, DocumentedClient, Reply
from support.recorded_examples import STALE, Examples, examples, recorded

from gateway import wiring

OPERATIONS = sorted(route.operation.id for _, route in routes_of(FakeGateway().app))
UNSHOWN = {"getOpenAPI", "getModelServiceOpenAPI", "cancelImport"}
"""The documents in themselves; and an import that still runs when it is cancelled, which takes luck."""


@pytest.fixture(scope="module")
def documented() -> Documented:
    return Documented(FakeGateway().client.get("/openapi.json").get_json())


@pytest.mark.parametrize("name", OPERATIONS)
def test_examples_are_what_the_document_says(name: str, documented: Documented) -> None:
    for content in _contents(documented, documented.operations[name].operation):
        for kind, media in content.items():
            if kind == "application/json" and name not in UNSHOWN:
                assert "example" in media, f"{name}: {STALE}"
                assert documented.schema_faults(media["schema"], media["example"]) == [], STALE
    shown = documented.document["components"]["schemas"]["Problem"]
    assert documented.schema_faults(shown, shown["examples"][0]) == []


def _contents(documented: Documented, operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the contents of a request and of its answers that are no errors."""
    yield operation.get("requestBody", {}).get("content", {})
    for status, response in operation["responses"].items():
        if status < "400":
            yield documented.resolved(response).get("content", {})


def client_of(gateway: FakeGateway, documented: Documented) -> DocumentedClient:
    def send(method: str, address: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        answer = gateway.client.open(address, method=method, headers=dict(headers), data=body)
        return Reply(answer.status_code, {k.lower(): v for k, v in answer.headers}, answer.data)

    return DocumentedClient(documented, send)


def test_every_operation_answers_as_it_is_documented(
    documented: Documented, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sample_csv: Path
) -> None:
    (tmp_path / "sample.csv").write_text("".join(sample_csv.read_text().splitlines(keepends=True)[:6]))
    monkeypatch.setattr(wiring, "SAMPLE", tmp_path / "sample.csv")  # 6,000 take a fake seconds
    gateway = FakeGateway()
    api = client_of(gateway, documented)
    for chapter in CHAPTERS:
        gateway.count_segments()
        chapter(api)
    assert api.faults == []
    called = {call.id for call in api.calls}
    assert sorted(set(OPERATIONS) - called) == [], "call them in tests/support/api_story.py, then run `make examples`"
    told, shown = (_messages(found) for found in (examples(api.calls), recorded()))
    assert sorted(told ^ shown) == [], STALE


def _messages(found: Examples) -> set[str]:
    return {f"{operation} {message}" for operation, messages in found.items() for message in messages}
