"""The guard that carries out a POST with an Idempotency-Key once, however often it is sent.

The IETF draft (draft-ietf-httpapi-idempotency-key-header-07) leaves much to the server; here:

- A key belongs to its caller, for as long as IDEMPOTENCY_HOURS says. Two requests are the same if method, path, query,
  Content-Type and body are.
- Only the answer of a request that was carried out (2xx or 3xx) is kept: it is sent again with `REPLAYED`. Any refusal
  (4xx, and 503 where too much is going on) had no effect and frees the key.
- A file is not read beforehand: its length, and its Content-Digest or Repr-Digest (RFC 9530) if there is one, stand for
  it. A retry must send the same length.
- An answer that is streamed, too large, secret or full of customers (`Repeats.kept`) is not kept. Its repetition is
  sent to the resource that it was about (303), or hears that the answer is gone (409).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

from flask import Response, g, request
from werkzeug.exceptions import HTTPException

from gateway.controllers.exchange import caller, read_body
from gateway.routes import Around, Route, View
from gateway.schemas.idempotency_key import HEADER, customers_named, load_key
from gateway.services.errors import AnswerNotKept, StoreError, is_refusal
from gateway.services.idempotency import Asked, Attempt, IdempotencyService, KeptAnswer

log = logging.getLogger(__name__)

REPLAYED = "Idempotency-Replayed"
"""The header of an answer that is sent again, and was not made now."""
KEPT_HEADERS = ("Content-Type", "Content-Language", "Content-Disposition", "ETag", "Link", "Location", "Retry-After")


def idempotent(idempotency: IdempotencyService, lease: float) -> Around:
    """Return a guard under which a POST with a key is carried out once; others pass.

    Parameters
    ----------
    lease : seconds after which a request whose process has died may be tried again; longer than any can take.
    """

    def around(route: Route, view: View) -> View:
        if route.method != "POST":
            return view

        @wraps(view)
        def guarded(**parts: Any) -> Any:
            header = request.headers.get(HEADER)
            if header is None:
                return view(**parts)
            begun = idempotency.begin(_asked(route, header, parts), caller(), lease)
            if isinstance(begun, KeptAnswer):
                return _replayed(begun)
            return _OneRun(idempotency, begun, route).of(view, parts)

        return guarded

    return around


def _asked(route: Route, header: str, parts: dict[str, Any]) -> Asked:
    key = load_key(header)
    body = b"" if route.repeats.upload else read_body()
    customers = customers_named(body)
    if cust_id := parts.get("cust_id"):
        customers.add(cust_id)
    return Asked(key, _fingerprint(body), customers, route.repeats.again)


def _fingerprint(body: bytes) -> str:
    """Return what tells the request from others; the lengths keep its parts from running into each other."""
    digest = hashlib.sha256()
    headers = (request.headers.get(name, "") for name in ("Content-Type", "Content-Digest", "Repr-Digest"))
    about = (request.method, request.path, *headers, str(request.content_length))
    for part in (*(text.encode() for text in about), request.query_string, body):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()


def _replayed(answer: KeptAnswer) -> Response:
    headers = {**answer.headers, REPLAYED: "true"}
    if answer.body is not None:
        return Response(answer.body, answer.status, headers)
    if "Location" not in headers:
        raise AnswerNotKept
    elsewhere = Response(status=303, headers={"Location": headers["Location"], REPLAYED: "true"})
    del elsewhere.headers["Content-Type"]  # there is no content
    return elsewhere


class _OneRun:
    """One attempt at carrying a request out, and what becomes of its key."""

    def __init__(self, idempotency: IdempotencyService, attempt: Attempt, route: Route) -> None:
        self._idempotency = idempotency
        self._attempt = attempt
        self._route = route

    def of(self, view: View, parts: dict[str, Any]) -> Response:
        """Return the view's answer, once it is kept."""
        g.first_tried_at = self._attempt.first_at
        try:
            answer: Response = view(**parts)
        except Exception as error:
            self._end(refused=is_refusal(error) or (isinstance(error, HTTPException) and (error.code or 500) < 500))
            raise
        if answer.status_code >= 400:
            self._end(refused=answer.status_code < 500)
        elif answer.is_streamed:
            answer.response = self._watched(answer.response, self._without_body(answer))
        else:
            self._keep(self._whole(answer) if self._route.repeats.kept else self._without_body(answer))
        return answer

    def _end(self, *, refused: bool) -> None:
        self._note(self._idempotency.release if refused else self._idempotency.break_off)

    def _keep(self, answer: KeptAnswer) -> None:
        self._note(lambda attempt: self._idempotency.finish(attempt, answer))

    def _note(self, note: Callable[[Attempt], None]) -> None:
        try:
            note(self._attempt)
        except StoreError as error:
            # What happened has happened, and the caller shall hear of it; the key is free to try when its lease ends.
            log.warning("what became of a request with an Idempotency-Key could not be noted: %s", error)

    def _watched(self, pieces: Iterable[Any], answer: KeptAnswer) -> Iterator[Any]:
        """Yield the answer; it counts as sent when its last piece is."""
        try:
            yield from pieces
        except BaseException:  # the caller has left, too, which closes this generator
            self._end(refused=False)
            raise
        self._keep(answer)

    @staticmethod
    def _whole(answer: Response) -> KeptAnswer:
        headers = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
        return KeptAnswer(answer.status_code, headers, answer.get_data())

    @staticmethod
    def _without_body(answer: Response) -> KeptAnswer:
        location = answer.headers.get("Location")
        return KeptAnswer(answer.status_code, {"Location": location} if location else {}, None)
