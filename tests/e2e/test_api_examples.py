"""Answers of the real system are as documented; the examples in the document were recorded here.

``make examples`` records them anew.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from flask import Flask
from support import api_story
from support.documented import Documented, DocumentedClient, Reply
from support.recorded_examples import STALE, differences, examples, record, recorded

from gateway.data_access.mongo.schema import MongoSchema
from gateway.settings import Settings
from gateway.stores import connect, schema_of
from tests.conftest import SAMPLE_CSV
from tests.e2e.conftest import GRANIAN, System, wait_until


@pytest.fixture
def api(system: System, tmp_path: Path) -> DocumentedClient:
    """The whole system with the sample's customers, and a second version of the model made of some of them."""
    some = tmp_path / "some.csv"
    some.write_text("".join(SAMPLE_CSV.read_text().splitlines(keepends=True)[:800]))
    done = system.run("model_service", "train", str(some), "--k", "3", "--no-activate")
    assert done.returncode == 0, done.stderr
    settings = Settings(mongodb_uri=system.env["MONGODB_URI"])
    database = connect(Flask("examples"), settings)
    MongoSchema(database, schema_of(settings)).bring_up_to_date()  # as the worker does, without which the story goes on
    database.client.close()
    system.start_model()
    system.start_gateway(GRANIAN)
    system.start_worker()
    assert system.run("gateway", "import", str(SAMPLE_CSV)).returncode == 0
    system.counted(6000)

    def send(method: str, address: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        answer = system.http.request(method, system.base + address, headers=headers, data=body, timeout=60)
        return Reply(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)

    return DocumentedClient(Documented(system.http.get(f"{system.base}/openapi.json", timeout=10).json()), send)


def test_the_real_system_answers_as_documented_and_as_in_the_examples(api: DocumentedClient, system: System) -> None:
    def ended(training: str) -> bool:
        found = api("getTraining", 200, training_id=training).body["status"]
        return found in ("completed", "failed", "cancelled")

    def sent(webhook: str, delivery: str) -> bool:
        address = f"{system.base}/api/v1/webhooks/{webhook}/deliveries/{delivery}"
        return bool(system.http.get(address, timeout=10).json()["status"] == "failed")

    for chapter in api_story.CHAPTERS:
        if chapter is api_story.trainings:
            api_story.trainings(api, lambda training: wait_until(lambda: ended(training), "training ended"))
        elif chapter is api_story.webhooks:
            api_story.webhooks(api, lambda *which: wait_until(lambda: sent(*which), "the test was sent"))
        else:
            if chapter is api_story.segments:
                system.counted(6002)
            chapter(api)
    assert api.faults == []
    found = examples(api.calls)
    if os.environ.get("EXAMPLES") == "record":
        record(found)
    assert not (changed := list(differences(found, recorded()))), "\n".join([STALE, *changed])
