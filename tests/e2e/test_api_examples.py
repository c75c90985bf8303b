"""Answers of the real system are as documented; the examples in the document were recorded here.

``make examples`` records them anew.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from fakes.gateway import FakeGateway
from support import api_story
from support.addresses import routes_of
from support.documented import Call, Documented, DocumentedClient, Reply

from tests.conftest import ROOT, SAMPLE_CSV
from tests.e2e.conftest import GRANIAN, System, wait_until

EXAMPLES = ROOT / "gateway" / "openapi" / "examples.json"
LONGEST = 2
"""Entries of a list, and of an object whose names are data, that an example shows."""
_BY_FEATURE = {"profile", "ranges", "values"}


@pytest.fixture
def api(system: System, tmp_path: Path) -> DocumentedClient:
    """The whole system with the sample's customers, and a second version of the model made of some of them."""
    some = tmp_path / "some.csv"
    some.write_text("".join(SAMPLE_CSV.read_text().splitlines(keepends=True)[:800]))
    done = system.run("model_service", "train", str(some), "--k", "3", "--no-activate")
    assert done.returncode == 0, done.stderr
    system.start_model()
    system.start_gateway(GRANIAN)
    assert system.run("gateway", "import", str(SAMPLE_CSV)).returncode == 0

    def send(method: str, address: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        answer = system.http.request(method, system.base + address, headers=headers, data=body, timeout=60)
        return Reply(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)

    return DocumentedClient(Documented(system.http.get(f"{system.base}/openapi.json", timeout=10).json()), send)


def test_the_real_system_answers_as_documented_and_as_in_the_examples(api: DocumentedClient) -> None:
    def ended(training: str) -> bool:
        found = api("getTraining", 200, training_id=training).body["status"]
        return found in ("completed", "failed", "cancelled")

    for chapter in api_story.CHAPTERS:
        if chapter is api_story.trainings:
            api_story.trainings(api, lambda training: wait_until(lambda: ended(training), "training ended"))
        else:
            chapter(api)
    assert api.faults == []
    recorded = examples(api.calls)
    if os.environ.get("EXAMPLES") == "record":
        EXAMPLES.write_bytes(orjson.dumps(recorded, option=orjson.OPT_INDENT_2) + b"\n")
    shown = orjson.loads(EXAMPLES.read_bytes())
    assert sorted(shown) == sorted(recorded)
    for operation, messages in recorded.items():
        assert {name: members(message) for name, message in messages.items()} == {
            name: members(message) for name, message in shown[operation].items()
        }, operation


def examples(calls: list[Call]) -> dict[str, dict[str, Any]]:
    """Return what was sent and answered in each operation's first calls, by operation; "request", "200" and so on."""
    found: dict[str, dict[str, Any]] = {route.operation.id: {} for _, route in routes_of(FakeGateway().app)}
    for call in calls:
        if call.reply.media_type in ("application/json", "application/problem+json") and "OpenAPI" not in call.id:
            found[call.id].setdefault(str(call.reply.status), shortened(call.reply.body))
        if call.request is not None and call.reply.status < 300:
            request = call.request.decode() if isinstance(call.request, bytes) else shortened(call.request)
            found[call.id].setdefault("request", request)
    return {operation: messages for operation, messages in sorted(found.items()) if messages}


def shortened(value: Any, name: str = "") -> Any:
    """Return the value without most of what is only more of the same."""
    if isinstance(value, list):
        return [shortened(part) for part in value[:LONGEST]]
    if isinstance(value, str) and name == "key":
        return f"{value[:17]}…"  # nobody should have to find out that this one opens nothing
    if not isinstance(value, dict):
        return value
    kept = list(value.items())[:LONGEST] if name in _BY_FEATURE else value.items()
    return {key: shortened(part, key) for key, part in kept}


def members(value: Any, path: str = "") -> set[str]:
    """Return the paths of all members that are there."""
    if isinstance(value, list):
        return set().union(*(members(part, f"{path}[]") for part in value))
    if not isinstance(value, dict):
        return {path}
    return set().union(*(members(part, f"{path}.{key}") for key, part in value.items()))
