"""The Idempotency-Key header field (draft-ietf-httpapi-idempotency-key-header-07)."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

import orjson
from flask import Response, g, request
from werkzeug.exceptions import HTTPException

from gateway.controllers.http import caller, read_body
from gateway.routes import Around, Route, View
from gateway.services.access.idempotency import Attempt, IdempotencyService, IdempotentRequest, StoredResponse
from gateway.services.errors import InvalidInput, ResponseNotStored, StoreError, is_refusal
from shared.features import CUST_ID
from shared.problems import FieldError

HEADER = "Idempotency-Key"
LONGEST = 255

_bare = re.compile(r"[!#-+\--~]+")  # visible, but for the quotation mark, and the comma that joins repeated fields
_quoted = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])+)"')
_escape = re.compile(r"\\(.)")


def load_key(field: str) -> str:
    """Return the key, which is written as a string (RFC 8941 section 3.3.3) or as it is.

    Raises
    ------
    InvalidInput
        unless it has 1 to `LONGEST` visible ASCII characters.
    """
    text = field.strip(" \t")
    key = text if _bare.fullmatch(text) else ""
    if string := _quoted.fullmatch(text):
        key = _escape.sub(r"\1", string[1])
    if not 1 <= len(key) <= LONGEST:
        detail = f"must be one key of 1 to {LONGEST} visible ASCII characters, in quotation marks or without"
        raise InvalidInput([FieldError(pointer=HEADER, detail=detail)])
    return key


def customers_named(body: bytes) -> set[str]:
    """Return the CUST_IDs that a JSON body names, for one customer or in a list of many; none if it is no JSON."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return set()  # it will be refused
    return set(_customers(value))


def _customers(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(cust_id := value.get(CUST_ID), str):
            yield cust_id
        for rows in value.values():
            if isinstance(rows, list):
                yield from (row[CUST_ID] for row in rows if isinstance(row, dict) and isinstance(row.get(CUST_ID), str))


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
        if route.method != "POST" or route.scope is None:  # a key is its caller's own, and nobody has said who calls
            return view

        @wraps(view)
        def guarded(**parts: Any) -> Any:
            header = request.headers.get(HEADER)
            if header is None:
                return view(**parts)
            begun = idempotency.begin(_request(route, header, parts), caller(), lease)
            if isinstance(begun, StoredResponse):
                return _replayed(begun)
            return _Attempt(idempotency, begun, route).of(view, parts)

        return guarded

    return around


def _request(route: Route, header: str, parts: dict[str, Any]) -> IdempotentRequest:
    key = load_key(header)
    body = None if route.repeats.upload else read_body()
    customers = customers_named(body or b"")
    if cust_id := parts.get("cust_id"):
        customers.add(cust_id)
    return IdempotentRequest(key, _fingerprint(body), customers, route.repeats.again)


def _fingerprint(body: bytes | None) -> str:
    """Return what tells the request from others; the lengths keep its parts from running into each other.

    How a body is framed and how its media type is spelt are no part of it; nor are the type's parameters, which nothing
    here heeds. A file is not read (None): its length stands for it, and its digest.
    """
    digest = hashlib.sha256()
    length = str(request.content_length or 0) if body is None else ""
    digests = (request.headers.get(name, "") for name in ("Content-Digest", "Repr-Digest"))
    about = (request.method, request.path, request.mimetype, length, *digests)
    for part in (*(text.encode() for text in about), request.query_string, body or b""):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()


def _replayed(answer: StoredResponse) -> Response:
    headers = {**answer.headers, REPLAYED: "true"}
    if answer.body is not None:
        return Response(answer.body, answer.status, headers)
    if "Location" not in headers:
        raise ResponseNotStored
    elsewhere = Response(status=303, headers={"Location": headers["Location"], REPLAYED: "true"})
    del elsewhere.headers["Content-Type"]  # there is no content
    return elsewhere


class _Attempt:
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

    def _keep(self, answer: StoredResponse) -> None:
        self._note(lambda attempt: self._idempotency.finish(attempt, answer))

    def _note(self, note: Callable[[Attempt], None]) -> None:
        try:
            note(self._attempt)
        except StoreError as error:
            # What happened has happened, and the caller shall hear of it; the key is free to try when its lease ends.
            log.warning("what became of a request with an Idempotency-Key could not be noted: %s", error)

    def _watched(self, pieces: Iterable[Any], answer: StoredResponse) -> Iterator[Any]:
        """Yield the answer; it counts as sent when its last piece is."""
        try:
            yield from pieces
        except BaseException:  # the caller has left, too, which closes this generator
            self._end(refused=False)
            raise
        self._keep(answer)

    @staticmethod
    def _whole(answer: Response) -> StoredResponse:
        headers = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
        return StoredResponse(answer.status_code, headers, answer.get_data())

    @staticmethod
    def _without_body(answer: Response) -> StoredResponse:
        location = answer.headers.get("Location")
        return StoredResponse(answer.status_code, {"Location": location} if location else {}, None)
