"""The model's versions over HTTP: what the model service says, with the gateway's addresses and errors."""

from __future__ import annotations

import pytest
from fakes.gateway import MODELS, SEGMENTS, TRAININGS, FakeGateway
from fakes.model import DOWN, MALFORMED, SLOW
from fakes.registry import NEW, OLD
from support.problems import assert_problem

from gateway.services.errors import ModelServiceError, RegistryRefusal
from shared.problems import FieldError

ACTIVATE = f"{MODELS}/{NEW}/activate"
ROLL_BACK = f"{MODELS}/rollback"
FAILURES = [(DOWN, 503, "model_unavailable"), (SLOW, 504, "model_timeout"), (MALFORMED, 502, "model_malformed")]
READS = [MODELS, f"{MODELS}/active", f"{MODELS}/{OLD}/gate", "/api/v1/activations", TRAININGS, f"{TRAININGS}/t1"]
READS += [
    f"{TRAININGS}/t1/log",
    f"{MODELS}/active/report",
    f"{MODELS}/active/plots",
    f"{MODELS}/active/plots/elbow.svg",
]
READS += [f"{MODELS}/{NEW}/preview", f"{MODELS}/active/drift"]
ORDERS = [ACTIVATE, ROLL_BACK, f"{TRAININGS}/t1/cancel", MODELS]
CALLS = [("GET", path) for path in READS] + [("POST", path) for path in ORDERS]


def _caller(gateway: FakeGateway) -> str:
    """Return what the trail calls whoever did the last thing."""
    return str(gateway.logged()[0]["actor"]["name"])


class TestReading:
    def test_the_list(self, gateway: FakeGateway) -> None:
        answer = gateway.client.get(MODELS)
        assert (answer.status_code, answer.json["active"]) == (200, OLD)
        assert [(m["version"], m["status"]) for m in answer.json["items"]] == [(NEW, "candidate"), (OLD, "active")]

    @pytest.mark.parametrize(("version", "found"), [("active", OLD), (OLD, OLD), (NEW, NEW)])
    def test_one_in_full(self, gateway: FakeGateway, version: str, found: str) -> None:
        answer = gateway.client.get(f"{MODELS}/{version}").json
        assert (answer["version"], answer["choice"]) == (found, "k was given")

    def test_the_gate_of_the_active_one(self, gateway: FakeGateway) -> None:
        assert gateway.client.get(f"{MODELS}/active/gate").json["version"] == OLD

    def test_the_gate(self, gateway: FakeGateway) -> None:
        answer = gateway.client.get(f"{MODELS}/{NEW}/gate").json
        assert (answer["version"], answer["against"], answer["passed"]) == (NEW, OLD, True)

    @pytest.mark.parametrize("below", ["", "/gate", "/report", "/plots", "/plots/elbow.png", "/preview", "/drift"])
    def test_a_version_that_is_not_there(self, gateway: FakeGateway, below: str) -> None:
        answer = gateway.client.get(f"{MODELS}/20200101T000000Z-00000000{below}")
        assert_problem(answer, 404, "version_not_found")


class TestActivating:
    def test_puts_a_version_in_force(self, gateway: FakeGateway) -> None:
        order = {"reason": "better", "by": "ann", "force": True}
        answer = gateway.client.post(ACTIVATE, json=order)
        assert answer.status_code == 200
        assert (answer.json["version"], answer.json["by"], answer.json["forced"]) == (NEW, "ann", True)
        assert gateway.registry.orders == [("activate", NEW, order)]
        assert gateway.client.get(MODELS).json["active"] == NEW

    def test_the_active_one_by_that_name(self, gateway: FakeGateway) -> None:
        answer = gateway.client.post(f"{MODELS}/active/activate", json={})
        assert (answer.status_code, answer.json["version"]) == (200, OLD)

    def test_and_back(self, gateway: FakeGateway) -> None:
        gateway.client.post(ACTIVATE, json={})
        answer = gateway.client.post(ROLL_BACK, json={"reason": "worse", "by": "ben"})
        assert (answer.status_code, answer.json["version"], answer.json["kind"]) == (200, OLD, "rollback")
        history = gateway.client.get("/api/v1/activations").json["items"]
        assert [(a["kind"], a["by"]) for a in history] == [("rollback", "ben"), ("activate", _caller(gateway))]

    @pytest.mark.parametrize("path", [ACTIVATE, ROLL_BACK])
    def test_needs_no_words(self, gateway: FakeGateway, path: str) -> None:
        gateway.client.post(ACTIVATE)
        gateway.registry.active = OLD
        assert gateway.client.post(path).status_code == 200
        assert [order for _, _, order in gateway.registry.orders] == [{"by": _caller(gateway)}] * 2

    def test_that_is_refused_says_why_and_changes_nothing(self, gateway: FakeGateway) -> None:
        errors = [FieldError(pointer="/checks/stability", detail="0.61; at least 0.850 is needed")]
        gateway.registry.failure = RegistryRefusal(409, "gate_refused", "worse than the active one", errors)
        answer = gateway.client.post(ACTIVATE, json={})
        assert assert_problem(answer, 409, "gate_refused", ["/checks/stability"])["errors"] == errors

    def test_nothing_to_roll_back(self, gateway: FakeGateway) -> None:
        assert_problem(gateway.client.post(ROLL_BACK, json={}), 409, "nothing_to_roll_back")

    @pytest.mark.parametrize("path", [ACTIVATE, ROLL_BACK])
    @pytest.mark.parametrize(
        ("text", "content_type", "status", "code"),
        [
            ("{", "application/json", 400, "malformed_json"),
            ('{"by": "a", "by": "b"}', "application/json", 400, "malformed_json"),
            ("by=ann", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
            ("{}", "", 415, "unsupported_media_type"),
            (" " * 3_000_000, "application/json", 413, "body_too_large"),
        ],
    )
    def test_bad_bodies(
        self, gateway: FakeGateway, path: str, text: str, content_type: str, status: int, code: str
    ) -> None:
        assert_problem(gateway.send("POST", path, text, content_type), status, code)
        assert gateway.registry.orders == []

    @pytest.mark.parametrize("text", ["[]", '"x"', "1", "null", "[{}]"])
    def test_bodies_that_are_no_object(self, gateway: FakeGateway, text: str) -> None:
        answer = gateway.send("POST", ACTIVATE, text)
        assert_problem(answer, 422, "validation_failed", [""])
        assert gateway.registry.orders == []

    @pytest.mark.parametrize("path", [ACTIVATE, ROLL_BACK, f"{SEGMENTS}/seg-01"])
    def test_words_in_the_query_are_not_lost_in_silence(self, gateway: FakeGateway, path: str) -> None:
        method = "PATCH" if SEGMENTS in path else "POST"
        answer = gateway.client.open(f"{path}?reason=x", method=method, json={})
        assert_problem(answer, 422, "validation_failed", ["?reason"])
        assert gateway.registry.orders == []


@pytest.mark.parametrize(("method", "path"), CALLS)
class TestEveryCall:
    @pytest.mark.parametrize(("failure", "status", "code"), FAILURES)
    def test_tells_how_the_model_service_failed(
        self, gateway: FakeGateway, method: str, path: str, failure: ModelServiceError, status: int, code: str
    ) -> None:
        gateway.registry.failure = failure
        answer = gateway.client.open(path, method=method)
        assert_problem(answer, status, code)
        assert answer.headers.get("Retry-After") == ("1" if status == 503 else None)

    def test_passes_a_refusal_on(self, gateway: FakeGateway, method: str, path: str) -> None:
        gateway.registry.failure = RegistryRefusal(409, "artefact_damaged", "the manifest cannot be read")
        detail = assert_problem(gateway.unjudged.open(path, method=method), 409, "artefact_damaged")["detail"]
        assert detail == "the manifest cannot be read"
