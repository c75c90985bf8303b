"""POSTs with an Idempotency-Key, over HTTP: the guard alone around views of all kinds, then in the gateway."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from fakes.gateway import CUSTOMERS, MODELS, PREDICTIONS, FakeGateway
from fakes.idempotency import InMemoryIdempotencyStore
from fakes.registry import NEW
from flask import Flask, Response, g, request
from flask.testing import FlaskClient
from support.customers import body
from support.problems import assert_problem
from werkzeug.exceptions import BadRequest, ServiceUnavailable
from werkzeug.test import TestResponse

from gateway.controllers.http import first_tried_at, read_body
from gateway.middleware import errors as error_handlers
from gateway.middleware import request_log
from gateway.middleware.idempotency import idempotent
from gateway.routes import Repeats, Resource, Route, View, Work, register
from gateway.routes.operation import Answer, Operation
from gateway.services.access.idempotency import IdempotencyService
from gateway.services.errors import (
    AnalysisBusy,
    CustomerExists,
    ModelTimeout,
    ModelUnavailable,
    RegistryRefusal,
    StoreUnavailable,
)
from gateway.services.principal import COMMAND_LINE, Scope

AWAY = StoreUnavailable("away")
FREELY = Repeats()


def _as_command_line(_: Route, view: View) -> View:
    def guarded(**parts: Any) -> Any:
        g.principal = COMMAND_LINE
        return view(**parts)

    return guarded


@dataclass
class Guarded:
    """One route at /things behind the guard; `view` may be exchanged, `calls` counts how often it ran."""

    repeats: Repeats = FREELY
    view: Callable[[], Response] = lambda: Response(b'{"id": 1}', 201, {"Location": "/things/1", "ETag": '"r"'})
    keys: InMemoryIdempotencyStore = field(default_factory=InMemoryIdempotencyStore)
    calls: int = 0

    def __post_init__(self) -> None:
        app = Flask("test")
        app.config["MAX_CONTENT_LENGTH"] = 1000
        request_log.register(app, str)
        error_handlers.register(app)
        guard = idempotent(IdempotencyService(self.keys, 24), 60)
        described = Operation("change", "Change", "", {200: Answer("Changed")})
        routes = [
            Route(method, "/things", self._view, Scope.ADMIN, described, repeats=self.repeats)
            for method in ("POST", "PUT")
        ]
        register(app, [Resource("Things", "", routes, "")], {Work.QUICK: (_as_command_line, guard)})
        self.client: FlaskClient = app.test_client()

    def _view(self) -> Response:
        self.calls += 1
        return self.view()

    def post(self, data: bytes = b"x", key: str | None = "k", path: str = "/things", **headers: str) -> TestResponse:
        keyed = {} if key is None else {"Idempotency-Key": key}
        return self.client.post(path, data=data, headers={**keyed, **headers})


def _raising(error: Exception) -> Callable[[], Response]:
    def view() -> Response:
        raise error

    return view


def test_a_repetition_gets_the_same_answer_and_says_so() -> None:
    things = Guarded()
    first, second = things.post(), things.post(key='"k"')
    assert things.calls == 1
    assert (second.status, second.data) == (first.status, first.data)
    assert (second.headers["Location"], second.headers["ETag"]) == ("/things/1", '"r"')
    assert second.content_type == first.content_type
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.headers["X-Request-ID"] != first.headers["X-Request-ID"]


def test_without_a_key_nothing_is_kept() -> None:
    things = Guarded()
    things.keys.failure = AWAY
    assert [things.post(key=None).status_code for _ in range(2)] == [201, 201]
    assert things.calls == 2


def test_other_methods_pass() -> None:
    things = Guarded()
    for _ in range(2):
        things.client.put("/things", headers={"Idempotency-Key": "k"})
    assert things.calls == 2


@pytest.mark.parametrize("key", ["", '"', "two words", "x" * 256])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    things = Guarded()
    assert_problem(things.post(key=key), 422, "validation_failed", ["Idempotency-Key"])
    assert things.calls == 0


@pytest.mark.parametrize(
    "change",
    [
        {"data": b"y"},
        {"path": "/things?a=1"},
        {"Content-Type": "text/csv"},
        {"Content-Digest": "sha-256=:AAAA:"},
    ],
    ids=str,
)
def test_another_request_under_the_same_key_is_refused(change: dict[str, Any]) -> None:
    things = Guarded()
    things.post()
    assert_problem(things.post(**change), 422, "idempotency_key_reused")
    assert things.calls == 1


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "Application/JSON",
        'application/json;Charset="UTF-8"',
        " application/json ; a=b",
    ],
)
def test_a_media_type_may_be_spelt_in_another_way(content_type: str) -> None:
    things = Guarded()
    first = things.post(**{"Content-Type": "application/json"})
    second = things.post(**{"Content-Type": content_type})
    assert (first.status_code, second.status_code, things.calls) == (201, 201, 1)


@pytest.mark.parametrize("data", [b"x", b""])
def test_a_body_may_be_framed_in_another_way(data: bytes) -> None:
    things = Guarded()
    first = things.post(data)
    chunked = {"wsgi.input": io.BytesIO(data), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    second = things.client.post("/things", headers={"Idempotency-Key": "k"}, environ_overrides=chunked)
    assert (first.status_code, second.status_code, things.calls) == (201, 201, 1)


def test_while_the_first_is_running_a_repetition_has_to_wait() -> None:
    things = Guarded()
    inside: list[TestResponse] = []

    def view() -> Response:
        if not inside:
            inside.append(
                things.client.application.test_client().post("/things", data=b"x", headers={"Idempotency-Key": "k"})
            )
        return Response(b"done")

    things.view = view
    assert things.post().data == b"done"
    assert_problem(inside[0], 409, "idempotency_in_progress")
    assert inside[0].headers["Retry-After"] == "1"
    assert things.calls == 1


@pytest.mark.parametrize(
    "view",
    [
        lambda: Response(status=422),
        _raising(CustomerExists("A")),
        _raising(BadRequest()),
        _raising(AnalysisBusy()),
        _raising(RegistryRefusal(409, "gate_refused", "no")),
        _raising(ModelUnavailable("cannot be reached")),
    ],
    ids=["422", "exists", "bad request", "busy", "registry", "model away"],
)
@pytest.mark.parametrize("again", [True, False])
def test_what_was_refused_leaves_the_key_free(view: Callable[[], Response], again: bool) -> None:
    things = Guarded(Repeats(again=again))
    things.view = view
    assert things.post().status_code >= 400
    things.view = lambda: Response(b"now")
    assert things.post(data=b"another").data == b"now"


UNSURE = {
    "503": lambda: Response(status=503),
    "away": _raising(AWAY),
    "timeout": _raising(ModelTimeout("too late")),
    "broken off": _raising(ModelUnavailable("broke off", unsure=True)),
    "http": _raising(ServiceUnavailable()),
    "bug": _raising(RuntimeError("a bug")),
}


@pytest.mark.parametrize("how", UNSURE)
def test_what_broke_off_is_done_again_for_the_same_request_only(how: str) -> None:
    things = Guarded()
    things.view = UNSURE[how]
    assert things.post().status_code >= 500
    assert_problem(things.post(data=b"another"), 422, "idempotency_key_reused")
    things.view = lambda: Response(str(first_tried_at() is not None))
    assert things.post().text == "True"
    assert things.post().headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("how", UNSURE)
def test_what_must_not_happen_twice_is_not_done_again(how: str) -> None:
    things = Guarded(Repeats(again=False))
    things.view = UNSURE[how]
    things.post()
    for _ in range(2):
        assert_problem(things.post(), 409, "idempotency_outcome_unknown")
    assert things.calls == 1


def test_a_first_attempt_knows_of_no_earlier_one() -> None:
    things = Guarded()
    things.view = lambda: Response(str(first_tried_at()))
    assert things.post().text == "None"


def test_while_the_keys_are_out_of_reach_nothing_is_done() -> None:
    things = Guarded()
    things.keys.failure = AWAY
    assert_problem(things.post(), 503, "store_unavailable")
    assert things.calls == 0


@pytest.mark.parametrize("error", [None, CustomerExists("A")], ids=["done", "refused"])
def test_what_happened_is_told_even_if_it_cannot_be_kept(error: Exception | None) -> None:
    things = Guarded()

    def view() -> Response:
        things.keys.failure = AWAY
        if error:
            raise error
        return Response(b"done")

    things.view = view
    assert things.post().status_code == (409 if error else 200)


class TestAnswersThatAreNotKept:
    def test_one_with_a_secret_leads_to_its_resource(self) -> None:
        things = Guarded(Repeats(kept=False))
        things.view = lambda: Response(b"secret", 201, {"Location": "/things/1", "ETag": "secret"})
        assert things.post().data == b"secret"
        again = things.post()
        assert (again.status_code, again.data, again.headers["Location"]) == (303, b"", "/things/1")
        assert again.headers["Idempotency-Replayed"] == "true"
        assert "secret" not in repr(things.keys.records)

    def test_one_without_an_address_is_gone(self) -> None:
        things = Guarded(Repeats(kept=False))
        things.view = lambda: Response(b"secret")
        things.post()
        assert_problem(things.post(), 409, "idempotency_answer_not_kept")
        assert things.calls == 1

    def test_one_whose_customer_was_erased_is_gone(self) -> None:
        things = Guarded()
        things.post(b'{"CUST_ID": "A"}')
        assert things.keys.erase("A") == 1
        assert_problem(things.post(b'{"CUST_ID": "A"}'), 409, "idempotency_answer_not_kept")
        assert things.calls == 1


class TestStreamedAnswers:
    @staticmethod
    def _streaming(*, until: Exception | None = None) -> Guarded:
        def pieces() -> Iterator[bytes]:
            yield b"1\n"
            if until:
                raise until
            yield b"2\n"

        return Guarded(view=lambda: Response(pieces(), 200, {"Location": "/things/1"}))

    def test_one_that_ended_leads_to_its_resource(self) -> None:
        things = self._streaming()
        assert things.post().data == b"1\n2\n"
        again = things.post()
        assert (again.status_code, again.headers["Location"]) == (303, "/things/1")
        assert things.calls == 1

    def test_one_that_broke_off_is_done_again(self) -> None:
        things = self._streaming(until=AWAY)
        with pytest.raises(StoreUnavailable):
            _ = things.post().data
        things.view = lambda: Response(str(first_tried_at() is not None))
        assert things.post().text == "True"

    def test_one_that_nobody_waited_for_is_done_again(self) -> None:
        things = self._streaming()
        answer = things.client.post("/things", data=b"x", headers={"Idempotency-Key": "k"}, buffered=False)
        assert next(iter(answer.response)) == b"1\n"
        assert_problem(things.post(), 409, "idempotency_in_progress")
        answer.close()
        assert things.post().data == b"1\n2\n"


class TestUploads:
    def test_a_file_is_not_read_beforehand_and_its_length_stands_for_it(self) -> None:
        things = Guarded(Repeats(upload=True))
        read: list[bytes] = []

        def view() -> Response:
            read.append(request.stream.read())
            return Response(b"done")

        things.view = view
        things.post(b"abc")
        assert read == [b"abc"]
        assert things.post(b"abd").headers["Idempotency-Replayed"] == "true"
        assert_problem(things.post(b"abcd"), 422, "idempotency_key_reused")

    def test_a_digest_tells_files_of_the_same_length_apart(self) -> None:
        things = Guarded(Repeats(upload=True))
        things.post(b"abc", **{"Repr-Digest": "sha-256=:AAAA:"})
        refused = things.post(b"abd", **{"Repr-Digest": "sha-256=:BBBB:"})
        assert_problem(refused, 422, "idempotency_key_reused")


def test_a_body_that_is_too_large_frees_the_key() -> None:
    things = Guarded(view=lambda: Response(read_body()))
    assert_problem(things.post(b"x" * 1001), 413, "body_too_large")
    assert things.post(b"y").data == b"y"


# In the gateway ---------------------------------------------------------------------------------------------------


def _post(gateway: FakeGateway, path: str, sent: object = None, key: str = "k") -> TestResponse:
    return gateway.client.post(path, json=sent, headers={"Idempotency-Key": key})


def test_a_customer_is_created_once(gateway: FakeGateway) -> None:
    first, second = _post(gateway, CUSTOMERS, body("A")), _post(gateway, CUSTOMERS, body("A"))
    assert first.status_code == second.status_code == 201
    assert first.json == second.json
    assert first.headers["ETag"] == second.headers["ETag"]
    assert_problem(_post(gateway, CUSTOMERS, body("A"), "another"), 409, "customer_exists")


def test_callers_have_keys_of_their_own(gateway: FakeGateway) -> None:
    _post(gateway, CUSTOMERS, body("A"))
    (stored,) = gateway.idempotency.records
    assert len(stored) == 64
    assert "k" not in gateway.idempotency.records


def _away(*_: object) -> None:
    raise AWAY


def _torn_create(gateway: FakeGateway) -> None:
    """Create a customer and lose the answer of the database on the way."""
    insert = gateway.store.insert

    def torn(customer: dict[str, Any]) -> None:
        insert(customer)
        raise AWAY

    gateway.store.insert = torn
    assert_problem(_post(gateway, CUSTOMERS, body("A")), 503, "store_unavailable")
    gateway.store.insert = insert


def test_a_create_that_broke_off_recognises_its_own_customer(gateway: FakeGateway) -> None:
    _torn_create(gateway)
    stored = gateway.store.get("A")
    again = _post(gateway, CUSTOMERS, body("A"))
    assert again.status_code == 201
    assert again.json["revision"] == stored["revision"]
    assert again.headers["Location"] == f"{CUSTOMERS}/A"
    assert _post(gateway, CUSTOMERS, body("A")).json == again.json


def test_a_create_that_broke_off_does_not_take_an_older_customer_for_its_own(gateway: FakeGateway) -> None:
    gateway.client.post(CUSTOMERS, json=body("A"))
    gateway.store.customers["A"]["created_at"] -= timedelta(seconds=1)
    failing = gateway.store.insert
    gateway.store.insert = _away
    assert_problem(_post(gateway, CUSTOMERS, body("A")), 503, "store_unavailable")
    gateway.store.insert = failing
    assert_problem(_post(gateway, CUSTOMERS, body("A")), 409, "customer_exists")


def test_a_create_that_broke_off_does_not_take_a_different_customer_for_its_own(gateway: FakeGateway) -> None:
    _torn_create(gateway)
    gateway.store.customers["A"]["BALANCE"] = 7.0
    assert_problem(_post(gateway, CUSTOMERS, body("A")), 409, "customer_exists")


def test_a_restore_that_broke_off_recognises_its_own_customer(gateway: FakeGateway) -> None:
    gateway.client.post(CUSTOMERS, json=body("A"))
    gateway.client.delete(f"{CUSTOMERS}/A")
    run = gateway.services.deletions._transactions.run
    gateway.services.deletions._transactions.run = lambda work: (run(work), _away())
    assert_problem(_post(gateway, f"{CUSTOMERS}/A/restore"), 503, "store_unavailable")
    gateway.services.deletions._transactions.run = run
    assert _post(gateway, f"{CUSTOMERS}/A/restore").status_code == 200
    assert_problem(gateway.client.post(f"{CUSTOMERS}/A/restore"), 409, "customer_exists")


def test_predictions_and_models_know_keys_too(gateway: FakeGateway) -> None:
    for path, sent in ((PREDICTIONS, body("A")), (f"{MODELS}/{NEW}/activate", {}), (MODELS, None)):
        first, second = _post(gateway, path, sent, path), _post(gateway, path, sent, path)
        assert (second.json, second.status) == (first.json, first.status)
        assert second.headers["Idempotency-Replayed"] == "true"


def test_a_rollback_that_broke_off_is_not_done_again(gateway: FakeGateway) -> None:
    gateway.registry.failure = ModelTimeout("no answer")
    _post(gateway, f"{MODELS}/rollback")
    gateway.registry.failure = None
    assert_problem(_post(gateway, f"{MODELS}/rollback"), 409, "idempotency_outcome_unknown")


def test_the_secret_of_an_api_key_is_kept_nowhere(gateway: FakeGateway) -> None:
    sent = {"name": "CRM", "scopes": ["admin"]}
    made = _post(gateway, "/api/v1/api-keys", sent)
    again = _post(gateway, "/api/v1/api-keys", sent)
    assert (again.status_code, again.headers["Location"]) == (303, made.headers["Location"])
    assert made.json["key"] not in repr(gateway.idempotency.records)


def test_an_erasure_empties_the_kept_answers(gateway: FakeGateway) -> None:
    _post(gateway, CUSTOMERS, body("A"), "create")
    _post(gateway, f"{CUSTOMERS}/A/segment", None, "rescore")
    gateway.client.post(CUSTOMERS, json=body("B"), headers={"Idempotency-Key": "other"})
    receipt = gateway.client.delete(f"{CUSTOMERS}/A?erase=true").json
    assert receipt["erased"]["idempotency"] == 2
    assert_problem(_post(gateway, CUSTOMERS, body("A"), "create"), 409, "idempotency_answer_not_kept")
    assert _post(gateway, CUSTOMERS, body("B"), "other").status_code == 201
