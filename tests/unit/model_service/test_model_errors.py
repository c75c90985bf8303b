from __future__ import annotations

import json
import logging

import pytest
from asgi_client import KEY, assert_problem
from registry_changes import copy_version, damage

from shared.contract import ACTIVE_MODEL, PREDICT, PREDICT_BATCH
from shared.telemetry.logs import configure, current_request_id

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/predict/", "/v1/models/", "/docs", "/redoc", "/v1/%2e%2e", "/é"])
def test_unknown_routes(client, path):
    assert_problem(client.get(path), 404, "not_found")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "GET"])
def test_wrong_methods_say_which_are_right(client, method):
    answer = client.request(method, PREDICT, b"", JSON)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_reading_routes_take_no_post(client):
    for path in (ACTIVE_MODEL, "/health/live", "/health/ready"):
        assert client.post(path, {}).headers["allow"] == "GET"


@pytest.mark.parametrize("path", [PREDICT, PREDICT_BATCH])
@pytest.mark.parametrize("declared", [None, "", "text/csv", "application/jsonx", "application/x-www-form-urlencoded"])
def test_wrong_content_types(client, path, declared):
    headers = {} if declared is None else {"content-type": declared}
    assert_problem(client.request("POST", path, b"{}", headers), 415, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["identity", "Identity", "IDENTITY, identity", ""])
@pytest.mark.parametrize("path", [PREDICT, "/v2/models/customer-segmentation/infer"])
def test_a_body_may_say_that_it_is_not_compressed(client, path, coding):
    answer = client.request("POST", path, b"{", {"content-type": "application/json", "content-encoding": coding})
    assert (answer.status, answer.json()["code"]) == (400, "malformed_json")


@pytest.mark.parametrize("coding", ["gzip", "identity, GZIP", "x-unknown"])
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (PREDICT, "application/json"),
        ("/v1/predict/batch", "application/json"),
        ("/v1/models/rollback", "application/json"),
        ("/v1/models", "text/csv"),
        ("/v1/models/active/drift", "application/x-ndjson"),
    ],
)
def test_a_compressed_body_is_refused_as_such(client, path, kind, coding):
    answer = client.request("POST", path, b"\x1f\x8b", {"content-type": kind, "content-encoding": coding})
    assert "compressed" in assert_problem(answer, 415, "unsupported_media_type")["detail"]


@pytest.mark.parametrize("kind", ["application/x-ndjson; charset=utf-8", "Application/X-NDJSON;CHARSET=UTF8"])
def test_a_media_type_may_have_parameters(client, kind):
    answer = client.request("POST", "/v1/models/active/drift", b"{", {"content-type": kind})
    assert_problem(answer, 400, "malformed_json")


def test_json_may_name_its_charset(client):
    answer = client.request("POST", PREDICT, b"[]", {"content-type": "Application/JSON; charset=utf-8"})
    assert_problem(answer, 422, "validation_failed", [""])


@pytest.mark.parametrize("path", [PREDICT, PREDICT_BATCH])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"BALANCE": NaN}',
        b'{"BALANCE": Infinity}',
        b'{"BALANCE": 1e400}',
        b'{"BALANCE": 1, "BALANCE": 2}',
        b"\xff\xfe",
        b"[" * 100 + b"]" * 100,
        b"{'BALANCE': 1}",
        b"{} {}",
    ],
)
def test_malformed_json(client, path, body):
    assert_problem(client.request("POST", path, body, JSON), 400, "malformed_json")


def test_a_body_that_says_it_is_too_large(client):
    headers = JSON | {"content-length": "200001"}
    assert_problem(client.request("POST", PREDICT, b"{}", headers), 413, "body_too_large")


def test_a_body_that_turns_out_too_large_is_counted_as_it_comes(client):
    chunk = b" " * 60_000
    assert_problem(client.request("POST", PREDICT, [chunk] * 4, JSON), 413, "body_too_large")
    assert_problem(client.request("POST", PREDICT, [chunk] * 3, JSON | {"content-length": "1"}), 400, "malformed_json")


def test_bad_values(client, tiny):
    body = tiny.customer() | {"BALANCE": "1", "TENURE": True, "PAYMENTS": None, "CUST_ID": "C1"}
    answer = client.post(PREDICT, body)
    assert_problem(answer, 422, "validation_failed", ["/BALANCE", "/TENURE", "/PAYMENTS", "/CUST_ID"])


def test_without_a_model(connect, tiny):
    client = connect()
    assert_problem(client.post(PREDICT, tiny.customer()), 503, "model_not_loaded")
    assert_problem(client.post(PREDICT_BATCH, {"customers": []}), 503, "model_not_loaded")
    assert_problem(client.get(ACTIVE_MODEL), 503, "model_not_loaded")
    assert_problem(client.get("/health/ready"), 503, "model_not_loaded")
    assert client.get("/health/live").json() == {"status": "live"}


def test_ready_says_which_model_and_whether_it_is_a_fallback(connect, store):
    first, second = store.versions()[0], copy_version(store)
    store.activate(second)
    damage(store, second)
    ready = connect(model_store=store.directory).get("/health/ready").json()
    assert (ready["status"], ready["model_version"]) == ("ready", first)
    assert second in ready["fallback"]


def test_an_internal_fault_is_logged_and_not_told(connect, store, tiny, caplog):
    client = connect(model_store=store.directory)

    class Broken:
        dispensable = frozenset()

        def predict_one(self, row):
            raise RuntimeError("secret of the house")

    client.app.state.model.predictor = Broken()
    with caplog.at_level(logging.INFO):
        answer = client.post(PREDICT, tiny.customer())
    assert_problem(answer, 500, "internal_error")
    assert b"secret" not in answer.body
    assert "secret of the house" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("path", [PREDICT, "/nope"])
def test_the_callers_request_id_is_echoed(client, path):
    assert client.get(path, X_Request_ID="abc-1.2:3_Z").headers["x-request-id"] == "abc-1.2:3_Z"


@pytest.mark.parametrize("received", ["", "has space", "é", "x" * 129, "a\tb"])
def test_an_unsafe_request_id_is_replaced(client, received):
    given = client.request("GET", "/health/live", None, {"x-request-id": received}).headers["x-request-id"]
    assert given != received
    assert len(given) == 32


def test_every_log_line_of_a_request_carries_its_id(client, capfd, tiny, monkeypatch):
    monkeypatch.setattr(client.app.state, "model", None)  # the request fails, and says so
    configure("INFO", "json")
    client.post(PREDICT, tiny.customer(), X_Request_ID="mine")
    failed, line = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert (failed["request_id"], failed["logger"], failed["message"]) == (
        "mine",
        "model_service.access",
        "the request failed",
    )
    assert failed["exception"].startswith("Traceback")
    assert line.pop("time") >= failed["time"]
    assert line.pop("duration_ms") > 0
    named = {"level": "INFO", "logger": "model_service.access", "request_id": "mine"}
    assert line == named | {"method": "POST", "route": PREDICT, "status": 500}
    assert current_request_id.get() is None


def test_a_client_that_leaves_is_no_fault(client, caplog):
    class Gone(Exception):
        pass

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        raise Gone

    scope = {
        "type": "http",
        "method": "POST",
        "path": PREDICT,
        "raw_path": PREDICT.encode(),
        "query_string": b"",
        "root_path": "",
        "http_version": "1.1",
        "headers": [
            (b"host", b"x"),
            (b"content-type", b"application/json"),
            (b"authorization", KEY["authorization"].encode()),
        ],
    }
    import asyncio

    with caplog.at_level(logging.INFO):
        asyncio.run(client.app(scope, receive, send))
    assert "the client disconnected" in caplog.text
    assert "Traceback" not in caplog.text
