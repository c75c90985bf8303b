"""Every error is a problem with a request id and tells nothing inward, whatever caused it."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from functools import cache

import orjson
import pytest
from fakes.api_keys import ADMIN_KEY
from fakes.gateway import CUSTOMERS, MODELS, PREDICTIONS, SEGMENTS, TRAININGS, FakeGateway
from fakes.registry import OLD
from support.addresses import example_of
from support.customers import body, inputs
from support.problems import assert_problem

from gateway.middleware.errors import STATUSES
from gateway.services import errors
from gateway.services.errors import RateLimitStatus, StoreUnavailable
from gateway.settings import Settings
from shared.problems import REQUEST_ID_HEADER, FieldError

WITH_BODY = [("POST", CUSTOMERS), ("PUT", f"{CUSTOMERS}/C1"), ("PATCH", f"{CUSTOMERS}/C1"), ("POST", PREDICTIONS)]
UNKNOWN = ["/nowhere", "/api", "/api/v1", "/api/v1/", "/api/v2/customers", "/health", "/static/x", "/%2e%2e/etc", "/ä"]
# A slash at the end makes another address.
UNKNOWN += [f"{CUSTOMERS}/", f"{SEGMENTS}/", f"{PREDICTIONS}/", "/health/live/", f"{SEGMENTS}/seg-01/"]
# What could lead elsewhere in the model service is no address here.
UNKNOWN += [
    f"{MODELS}/{v}" for v in ("v1", "active%252Fgate", "%2E%2E", f"{OLD}0", f"{OLD}%0A", "ACTIVE", "x/activate")
]
UNKNOWN += [f"{TRAININGS}/{i}" for i in ("a%2Fb", "%2E%2E", "x" * 65, ".b", "%00", "t1/logs")]
UNKNOWN += [f"{MODELS}/active/plots/{n}" for n in ("elbow", "elbow.pdf", "..svg", "a%2Fb.svg", "elbow.svg/")]
UNKNOWN += ["/api/v1/plots/drift.svg", "/api/v1/activations/1", f"{MODELS}/active/model.joblib"]
each_write = pytest.mark.parametrize(("method", "path"), WITH_BODY)


@cache
def _routes() -> list[tuple[str, set[str]]]:
    """Every address of the application with the methods that it knows there."""
    known: dict[str, set[str]] = {}
    for rule in FakeGateway().app.url_map.iter_rules():
        known.setdefault(example_of(rule.rule), set()).update(rule.methods or ())
    known[f"{CUSTOMERS}/batch"] |= known[f"{CUSTOMERS}/C1"]  # a customer may be called so
    return sorted(known.items())


def _wrong_methods() -> Iterator[tuple[str, str]]:
    for path, known in _routes():
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} - known:
            yield method, path


@pytest.mark.parametrize(("method", "path"), sorted(_wrong_methods()))
def test_a_wrong_method_names_the_right_ones(gateway: FakeGateway, method: str, path: str) -> None:
    answer = gateway.client.open(path, method=method)
    if method == "HEAD":
        assert (answer.status_code, answer.data) == (405, b"")
    else:
        assert_problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == dict(_routes())[path]


@pytest.mark.parametrize("path", [path for path, _ in _routes()])
def test_options_names_the_methods(gateway: FakeGateway, path: str) -> None:
    answer = gateway.client.options(path)
    assert answer.status_code == 200
    assert set(answer.headers["Allow"].split(", ")) == dict(_routes())[path]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_address(gateway: FakeGateway, method: str, path: str) -> None:
    assert_problem(gateway.client.open(path, method=method), 404, "not_found")


@each_write
@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml", "json"]
)
def test_a_wrong_content_type(gateway: FakeGateway, method: str, path: str, content_type: str) -> None:
    answer = gateway.client.open(path, method=method, data="{}", content_type=content_type or None)
    problem = assert_problem(answer, 415, "unsupported_media_type")
    assert "application/json" in problem["detail"]


@each_write
def test_a_packed_body(gateway: FakeGateway, method: str, path: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = gateway.client.open(path, method=method, data=gzip.compress(b"{}"), headers=headers)
    assert "'gzip'" in assert_problem(answer, 415, "unsupported_media_type")["detail"]
    assert answer.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(("method", "path"), [route for route in WITH_BODY if route[0] != "PATCH"])
def test_a_merge_patch_is_only_for_patch(gateway: FakeGateway, method: str, path: str) -> None:
    answer = gateway.send(method, path, "{}", "application/merge-patch+json")
    assert_problem(answer, 415, "unsupported_media_type")


@each_write
@pytest.mark.parametrize("text", [b"", b"{", b"{]", b"\xff", b'{"a": 1}}', b"a=1", "{}".encode("utf-16")])
def test_malformed_json(gateway: FakeGateway, method: str, path: str, text: bytes) -> None:
    assert_problem(gateway.send(method, path, text), 400, "malformed_json")


@each_write
def test_a_body_above_the_limit(method: str, path: str) -> None:
    gateway = FakeGateway(settings=Settings(max_body_bytes=2_000))
    assert_problem(gateway.send(method, path, b" " * 2_001), 413, "body_too_large")
    assert gateway.send(method, path, b" " * 1_999).status_code == 400


@each_write
def test_a_body_above_the_limit_without_a_declared_length(method: str, path: str) -> None:
    gateway = FakeGateway(settings=Settings(max_body_bytes=2_000))
    answer = gateway.client.open(
        path,
        method=method,
        input_stream=io.BytesIO(b" " * 5_000),
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert_problem(answer, 413, "body_too_large")


@each_write
def test_a_fault_that_nobody_foresaw(
    gateway: FakeGateway, method: str, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("secret detail")

    gateway.client.put(f"{CUSTOMERS}/C1", json=inputs())
    gateway.model.meanwhile = fail
    sent = body("C2", BALANCE=5.0) if method == "POST" else inputs(BALANCE=5.0)
    answer = gateway.client.open(path, method=method, json=sent, headers={REQUEST_ID_HEADER: "find-me"})
    assert "secret" not in str(assert_problem(answer, 500, "internal_error"))
    logged = capfd.readouterr().err
    *_, failed, line = map(orjson.loads, logged.splitlines())
    assert failed["request_id"] == line["request_id"] == "find-me"
    assert "in fail\n" in failed["exception"]  # where it came from …
    assert failed["exception"].endswith("\nZeroDivisionError")  # … and not what it says, which may name a customer


def _example(kind: type[Exception]) -> Exception:
    """An error of the kind with what the answer takes from it; whatever else it is made of is not asked for here."""
    error = kind.__new__(kind)
    Exception.__init__(error, "something went wrong")
    told = {"errors": [FieldError(pointer="/BALANCE", detail="is missing")]} if kind is errors.InvalidInput else {}
    vars(error).update(
        {"given": True, "retry_after": 7, "scope": "admin", "standing": RateLimitStatus("default", 1, 0, 7, ""), **told}
    )
    return error


@pytest.mark.parametrize("kind", STATUSES, ids=lambda kind: kind.__name__)
def test_every_error_of_the_table_as_it_leaves(gateway: FakeGateway, kind: type[Exception]) -> None:
    status, code = STATUSES[kind]
    gateway.store.failure = _example(kind)
    pointers = ["/BALANCE"] if kind is errors.InvalidInput else None
    answer = gateway.unjudged.get(f"{CUSTOMERS}/C1")
    assert_problem(answer, status, code, pointers)
    again = status == 503 or kind in (errors.RateLimited, errors.RequestInProgress)
    assert ("Retry-After" in answer.headers) == again


class TestRequestId:
    @pytest.mark.parametrize("path", ["/", CUSTOMERS, "/nowhere", f"{CUSTOMERS}/nobody"])
    def test_of_the_caller_comes_back(self, gateway: FakeGateway, path: str) -> None:
        answer = gateway.client.get(path, headers={REQUEST_ID_HEADER: "caller-1"})
        assert answer.headers[REQUEST_ID_HEADER] == "caller-1"

    @pytest.mark.parametrize("path", ["/", CUSTOMERS, "/nowhere", f"{CUSTOMERS}/nobody"])
    def test_is_made_where_there_is_none(self, gateway: FakeGateway, path: str) -> None:
        made = {gateway.client.get(path).headers[REQUEST_ID_HEADER] for _ in range(3)}
        assert len(made) == 3

    @pytest.mark.parametrize("received", ["", "a b", "x" * 129, "ä", '"><script>'])
    def test_that_is_not_safe_to_log_is_replaced(self, gateway: FakeGateway, received: str) -> None:
        answer = gateway.client.get("/nowhere", headers={REQUEST_ID_HEADER: received})
        assert assert_problem(answer, 404, "not_found")["request_id"] != received

    def test_is_in_the_log_with_one_line_per_request(
        self, gateway: FakeGateway, capfd: pytest.CaptureFixture[str]
    ) -> None:
        gateway.client.get(CUSTOMERS, headers={REQUEST_ID_HEADER: "caller-1"})
        (line,) = capfd.readouterr().err.splitlines()
        said = orjson.loads(line)
        assert (said["time"][-1:], said.pop("time")[10]) == ("Z", "T")
        assert said.pop("duration_ms") > 0
        named = {"level": "INFO", "logger": "gateway.access", "request_id": "caller-1"}
        who = {"key": ADMIN_KEY.partition("_")[2].partition("_")[0], "customer": None}
        assert said == named | {"method": "GET", "route": CUSTOMERS, "status": 200, **who}

    def test_only_failing_health_checks_are_in_the_log(
        self, gateway: FakeGateway, capfd: pytest.CaptureFixture[str]
    ) -> None:
        gateway.client.get("/health/ready")
        assert capfd.readouterr().err == ""
        gateway.store.failure = StoreUnavailable("away")
        gateway.client.get("/health/ready")
        failed, line = map(orjson.loads, capfd.readouterr().err.splitlines())
        assert failed["message"] == "store_unavailable: away"
        assert (line["route"], line["status"]) == ("/health/ready", 503)

    def test_a_line_break_in_an_address_forges_no_log_line(
        self, gateway: FakeGateway, capfd: pytest.CaptureFixture[str]
    ) -> None:
        gateway.client.get("/x%0A2026-01-01 forged")
        assert len(capfd.readouterr().err.splitlines()) == 1


def test_a_doubled_slash_is_another_address(gateway: FakeGateway) -> None:
    assert_problem(gateway.client.get("/api/v1//customers"), 404, "not_found")


CHUNKED = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}


@pytest.mark.parametrize("path", ["/api/v1/models/rollback", "/api/v1/models", "/api/v1/api-keys/ID/rotate"])
def test_an_empty_chunked_body_is_none(gateway: FakeGateway, path: str) -> None:
    if "ID" in path:
        key = gateway.client.post("/api/v1/api-keys", json={"name": "a", "scopes": ["admin"]}).get_json()
        path = path.replace("ID", key["id"])
    answer = gateway.client.post(path, environ_overrides={**CHUNKED, "wsgi.input": io.BytesIO()})
    assert answer.status_code in (200, 202, 409), answer.text  # 409: nothing to roll back to


def test_a_chunked_body_is_read_from_its_first_byte(gateway: FakeGateway) -> None:
    content = io.BytesIO(b'{"reason": "why"}')
    environ = {**CHUNKED, "wsgi.input": content, "CONTENT_TYPE": "application/json"}
    answer = gateway.client.post("/api/v1/models/rollback", environ_overrides=environ)
    assert_problem(answer, 409, "nothing_to_roll_back")
    content = io.BytesIO(b"reason")
    environ = {**CHUNKED, "wsgi.input": content, "CONTENT_TYPE": "application/json"}
    answer = gateway.client.post("/api/v1/models/rollback", environ_overrides=environ)
    assert_problem(answer, 400, "malformed_json")
    environ = {**CHUNKED, "wsgi.input": io.BytesIO(b"a,b")}
    answer = gateway.client.post("/api/v1/models", environ_overrides={**environ, "CONTENT_TYPE": "text/csv"})
    assert_problem(answer, 411, "length_required")
