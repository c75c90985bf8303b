"""Reading a request's body and conditions, and writing an answer: what every controller does in the same way."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import IO, Any

import orjson
from flask import Response, g, has_request_context, request
from marshmallow import Schema, ValidationError
from werkzeug.datastructures import ETags, MIMEAccept
from werkzeug.exceptions import (
    ClientDisconnected,
    LengthRequired,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from gateway.schemas.customers import field_errors
from gateway.schemas.queries import Values
from gateway.services.customers.preconditions import ANY_STATE, EVERY_REVISION, Precondition
from gateway.services.errors import InvalidInput, UploadBroken
from gateway.services.events.change import Origin
from gateway.services.models.registry import Upload
from gateway.services.principal import COMMAND_LINE, Principal
from shared.problems import FieldError
from shared.strict_json import loads

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

_UTC = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


class UnsupportedType(UnsupportedMediaType):
    """The body is of another media type than those that are accepted, which the answer names.

    In Accept-Patch (RFC 5789 section 2.2) or, for other methods, in Accept (RFC 9110 section 15.5.16).
    """

    def __init__(self, accepted: Sequence[str], detail: str) -> None:
        super().__init__(detail)
        self._accepted = accepted

    def get_headers(self, *arguments: Any) -> list[tuple[str, str]]:
        """Return the answer's headers."""
        name = "Accept-Patch" if request.method == "PATCH" else "Accept"
        return [*super().get_headers(*arguments), (name, ", ".join(self._accepted))]


class UnsupportedEncoding(UnsupportedMediaType):
    """The body has a Content-Encoding; the answer says that none is accepted (RFC 9110 section 12.5.3)."""

    def get_headers(self, *arguments: Any) -> list[tuple[str, str]]:
        """Return the answer's headers."""
        return [*super().get_headers(*arguments), ("Accept-Encoding", "identity")]


def require_media_type(accepted: Sequence[str], what: str, otherwise: str = "") -> None:
    """Do nothing if the body is declared as one of these media types, and as nothing that would have to be unpacked.

    Parameters
    ----------
    otherwise : what else the caller may have wanted, and how to ask for it.

    Raises
    ------
    werkzeug.exceptions.UnsupportedMediaType
    """
    if request.mimetype not in accepted:
        *others, last = accepted
        named = f"{', '.join(others)} or {last}" if others else last
        sent = f"not as {request.mimetype!r}" if request.mimetype else "with a Content-Type"
        raise UnsupportedType(accepted, f"Send {what} as {named}, {sent}. {otherwise}".rstrip())
    encoding = request.environ.get("HTTP_CONTENT_ENCODING", "")
    if encoding and {coding.strip(" \t").lower() for coding in encoding.split(",")} - {"", "identity"}:
        raise UnsupportedEncoding(f"Send {what} without a Content-Encoding, not with {encoding!r}.")


def preferred(offered: Sequence[str]) -> str | None:
    """Return which of these media types the client likes best (Accept); None if it takes none of them.

    Without a preference it is the first. What a range says beside its type, such as a charset, is no condition: each
    type is served in one form (RFC 9110 section 12.5.1).
    """
    ranges = [(value.partition(";")[0].strip(), quality) for value, quality in request.accept_mimetypes]
    return MIMEAccept(ranges).best_match(offered) if ranges else offered[0]


def read_json(*media_types: str) -> Any:
    """Return the request's body, parsed strictly.

    Raises
    ------
    werkzeug.exceptions.UnsupportedMediaType
        unless the body is declared as one of `media_types` (JSON without any).
    werkzeug.exceptions.RequestEntityTooLarge
    shared.strict_json.MalformedJSON
    """
    require_media_type(media_types or (JSON,), "the body")
    return loads(read_body())


def read_object(*media_types: str) -> dict[str, Any]:
    """Return the body, which must be a JSON object, or nothing at all.

    Raises
    ------
    InvalidInput, and what `read_json` raises
    """
    body = read_json(*media_types) if has_body() else {}
    if not isinstance(body, dict):
        raise InvalidInput([FieldError(pointer="", detail="must be an object")])
    return body


def query() -> Values:
    """Return the parameters of the query string, as `gateway.middleware.query_parameters` has read them."""
    values: Values = g.query
    return values


def caller() -> Principal:
    """Return who calls; a route that anybody may call has no caller."""
    principal: Principal = g.principal
    return principal


def origin() -> Origin:
    """Return where a change comes from: this request, or a command of this installation."""
    if not has_request_context():
        return Origin(COMMAND_LINE)
    return Origin(caller(), g.request_id, request.remote_addr)


def first_tried_at() -> datetime | None:
    """Return when this request was first tried under its Idempotency-Key, if earlier attempts have broken off."""
    at: datetime | None = g.get("first_tried_at")
    return at


def has_body() -> bool:
    """Whether the request has a body; an empty one is none, however it is framed."""
    size = request.content_length
    if size is not None or "HTTP_TRANSFER_ENCODING" not in request.environ:
        return bool(size)
    if "body" in g:
        return bool(g.body)
    if "first_byte" not in g:
        g.first_byte = _read(1)
    return bool(g.first_byte)


def read_body() -> bytes:
    """Return the body, as often as it is asked for.

    Raises
    ------
    werkzeug.exceptions.RequestEntityTooLarge
    werkzeug.exceptions.ClientDisconnected
        when it breaks off.
    """
    if "body" not in g:
        g.body = _received()
    return bytes(g.body)


def _received() -> bytes:
    limit, size = request.max_content_length, request.content_length
    if limit is not None and (size or 0) > limit:
        raise _too_large(limit)
    body = g.get("first_byte", b"") + _read() if size != 0 else b""
    # Without a Content-Length (chunked), Werkzeug cuts the body off at the limit and says nothing.
    if limit is not None and size is None and len(body) >= limit:
        raise _too_large(limit)
    if len(body) < (size or 0):  # granian says no more of a client that left
        raise ClientDisconnected("The body broke off before its end.")
    return body


def _too_large(limit: int) -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"The body must be smaller than {limit} bytes.")


def _read(size: int = -1) -> bytes:
    try:
        return request.stream.read(size)
    except OSError as error:
        raise ClientDisconnected("The body broke off before its end.") from error


def load(schema: Schema, body: Any, prefix: str = "") -> dict[str, Any]:
    """Return the body as `schema` reads it.

    Raises
    ------
    InvalidInput
    """
    try:
        loaded: dict[str, Any] = schema.load(body)
    except ValidationError as error:
        raise InvalidInput(field_errors(error, prefix)) from error
    return loaded


def precondition() -> Precondition:
    """Return what the request's If-Match and If-None-Match expect of the customer (RFC 9110 section 13.1).

    If-Unmodified-Since says nothing here: no answer has a Last-Modified, since two changes fit into a second.
    """
    environ = request.environ
    match, none_match = "HTTP_IF_MATCH" in environ, "HTTP_IF_NONE_MATCH" in environ
    if not (match or none_match):
        return ANY_STATE
    return Precondition(
        any_of=_revisions(request.if_match, weak=False) if match else None,
        none_of=_revisions(request.if_none_match, weak=True) if none_match else None,
        weak=request.if_match.as_set(include_weak=True) if match else (),
    )


def _revisions(tags: ETags, *, weak: bool) -> Container[str]:
    """Return the revisions that a header names; weak tags match none where the comparison is the strong one."""
    return EVERY_REVISION if tags.star_tag else tags.as_set(include_weak=weak)


def ndjson_line(body: Any) -> bytes:
    """Return a line of an answer in NDJSON; times as in `json_response`."""
    return orjson.dumps(body, option=_UTC | orjson.OPT_APPEND_NEWLINE)


class WholeAnswer(Response):
    """An answer that is handed to the server in one piece: granian makes no stream, and werkzeug corrects nothing."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Send the answer; werkzeug does so where it has become a stream, or somebody waits for its end."""
        pieces = self.response
        if type(pieces) is not list or self._on_close or environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        start_response(self.status, [*self.headers])
        return pieces


def no_content() -> Response:
    """Return the answer 204, which has no content and so no media type."""
    done = WholeAnswer(status=204)
    del done.headers["Content-Type"]
    return done


def see_other(address: str) -> Response:
    """Return the answer 303, which leads a browser to another page."""
    return Response(status=303, headers={"Location": address})


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer; times, which are in UTC throughout, become RFC 3339."""
    answer = WholeAnswer(orjson.dumps(body, option=_UTC), status, content_type=JSON)
    for name, value in (headers or {}).items():
        answer.headers[name] = value
    return answer


_PIECE = 256 * 1024
_CHARSETS = ("utf-8", "ascii")


def read_upload(media_types: Sequence[str], max_bytes: int, otherwise: str = "") -> Upload:
    """Return the file in the request's body, which has to be read before the answer is complete.

    Parameters
    ----------
    otherwise : what a caller who sends something else may have wanted, and how to ask for it.

    Raises
    ------
    werkzeug.exceptions.UnsupportedMediaType
        unless it is declared as one of `media_types`, in UTF-8 and without a Content-Encoding.
    werkzeug.exceptions.LengthRequired
    werkzeug.exceptions.RequestEntityTooLarge
    """
    require_media_type(media_types, "the file", otherwise)
    charset = request.mimetype_params.get("charset", _CHARSETS[0])
    if _codec(charset) not in _CHARSETS:
        raise UnsupportedType(media_types, f"Send the file in {_CHARSETS[0]}, not in {charset!r}.")
    size = request.content_length if has_body() else 0
    if size is None:  # a server may not tell a chunked body that broke off from a whole one
        raise LengthRequired("Send the file with a Content-Length.")
    if size > max_bytes:
        raise RequestEntityTooLarge(f"The file must not be larger than {max_bytes} bytes.")
    request.max_content_length = size  # checked against this route's own limit; the application's is far lower
    return Upload(request.mimetype, size, _pieces(request.stream, size))


def _codec(charset: str) -> str | None:
    """Return the one name of a charset that has many, such as UTF8 and utf-8; None if there is no such charset."""
    try:
        return codecs.lookup(charset).name
    except (LookupError, ValueError):
        return None


def _pieces(body: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the body as it arrives; one that breaks off raises, or the half would be taken for the whole."""
    left = size
    while left:
        try:
            piece = body.read(min(_PIECE, left))
        except (OSError, ClientDisconnected) as error:
            raise UploadBroken from error
        if not piece:
            raise UploadBroken
        left -= len(piece)
        yield piece
