"""`LeanFlask` answers as Flask does, with less to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, g, request, session
from werkzeug.exceptions import HTTPException

from gateway.controllers.http import WholeAnswer, json_response, no_content
from gateway.lean_flask import LeanFlask

Answer = tuple[int, list[tuple[str, str]], bytes]


def application(kind: Callable[[str], Flask]) -> Flask:
    """Return a small application that shows in its answers what Flask has done."""
    app = kind("small")
    app.url_map.merge_slashes = False

    @app.before_request
    def first() -> Any:
        g.seen = [request.method, request.path, request.endpoint, request.host]
        return Response("stopped") if "stop" in request.args else None

    app.before_request(lambda: g.seen.append("second"))

    @app.after_request
    def last(response: Response) -> Response:
        response.headers["Seen"] = " ".join(map(str, g.seen))
        return response

    @app.after_request
    def not_quite_last(response: Response) -> Response:
        g.seen.append(str(response.status_code))
        return response

    app.register_error_handler(HTTPException, lambda error: (error.description, error.code))
    app.register_error_handler(ZeroDivisionError, lambda _: ("no number", 422))
    app.add_url_rule("/things/<thing>", "get", lambda thing: {"id": thing, "query": request.args.to_dict()})
    app.add_url_rule("/things/<thing>", "put", lambda thing: (thing, 201, {"Location": request.url}), methods=["PUT"])
    app.add_url_rule("/things/<thing>/failed", "failed", lambda thing: str(len(thing) / 0))
    app.add_url_rule("/folder/", "folder", lambda: "with a slash")
    return app


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/things/a",
        "/things/%C3%A9%20?q=1",
        "/things/a?stop",
        "/things/a%2Fb",
        "/things/a/failed",
        "//things/a",
        "/folder",
        "/none",
        "/",
    ],
)
def test_it_answers_as_flask_does(method: str, path: str) -> None:
    def answer(app: Flask) -> Answer:
        found = app.test_client().open(path, method=method, headers={"Host": "bank.example:8000"})
        return found.status_code, sorted(found.headers), found.data

    assert answer(application(LeanFlask)) == answer(application(Flask))


def test_what_is_registered_is_found() -> None:
    done: list[str] = []
    app = application(LeanFlask)
    app.teardown_request(lambda _: done.append("request"))
    app.teardown_appcontext(lambda _: done.append("context"))
    part = Blueprint("part", "part")
    part.before_request(lambda: done.append("before"))
    part.after_request(lambda response: done.append("after") or response)
    part.add_url_rule("/part", "part", lambda: "")
    app.register_blueprint(part)

    assert app.test_client().get("/part").status_code == 200
    assert done == ["before", "after", "request", "context"]


@pytest.mark.parametrize("view", [lambda: session.update(a=1) or "", lambda: {}["nothing"]])
def test_what_nobody_handles_is_a_failure(view: Callable[[], Any]) -> None:
    app = application(LeanFlask)
    app.add_url_rule("/broken", "broken", view)

    assert app.test_client().get("/broken").status_code == 500


class TestAWholeAnswer:
    @staticmethod
    def sent(answer: Response, method: str = "GET") -> tuple[Any, dict[str, str]]:
        began: list[Any] = []
        pieces = answer({"REQUEST_METHOD": method}, lambda *start: began.extend(start))
        assert len({name for name, _ in began[1]}) == len(began[1])
        return pieces, dict(began[1])

    def test_is_one_list_for_the_server(self) -> None:
        pieces, headers = self.sent(json_response({"a": 1}, 201, {"ETag": '"x"'}))

        assert pieces == [b'{"a":1}']
        assert headers == {"Content-Type": "application/json", "Content-Length": "7", "ETag": '"x"'}

    def test_without_content_has_no_length(self) -> None:
        assert self.sent(no_content()) == ([], {})

    def test_tells_its_length_to_who_asks_for_no_more(self) -> None:
        pieces, headers = self.sent(json_response({"a": 1}), "HEAD")

        assert (b"".join(pieces), headers["Content-Length"]) == (b"", "7")

    def test_tells_who_waits_for_its_end(self) -> None:
        done: list[str] = []
        answer = WholeAnswer(b"a")
        answer.call_on_close(lambda: done.append("closed"))
        pieces, _ = self.sent(answer)
        assert b"".join(pieces) == b"a"
        assert not done
        pieces.close()

        assert done == ["closed"]

    def test_may_become_a_stream(self) -> None:
        answer = json_response({"a": 1})
        answer.response = (piece for piece in [b"b", b"c"])

        assert b"".join(self.sent(answer)[0]) == b"bc"
