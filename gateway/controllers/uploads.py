"""Files of any size in a request's body: they pass through, so that they may be far larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flask import request
from werkzeug.exceptions import ClientDisconnected, LengthRequired, RequestEntityTooLarge

from gateway.controllers.exchange import WrongMediaType, has_body, refuse_undeclared
from gateway.controllers.slow_clients import TimelyBody, timely_body
from gateway.services.errors import UploadBroken, UploadStalled
from gateway.services.registry_ports import Upload

_PIECE = 256 * 1024
_CHARSETS = ("utf-8", "us-ascii")


def uploaded(media_types: Sequence[str], max_bytes: int) -> Upload:
    """Return the file in the request's body, which has to be read before the answer is complete.

    Raises
    ------
    werkzeug.exceptions.UnsupportedMediaType
        unless it is declared as one of `media_types`, in UTF-8 and without a Content-Encoding.
    werkzeug.exceptions.LengthRequired
    werkzeug.exceptions.RequestEntityTooLarge
    """
    refuse_undeclared(media_types, "the file")
    charset = request.mimetype_params.get("charset", _CHARSETS[0])
    if charset.lower() not in _CHARSETS:
        raise WrongMediaType(media_types, f"send the file in {_CHARSETS[0]}, not in {charset!r}")
    size = request.content_length if has_body() else 0
    if size is None:  # a server may not tell a chunked body that broke off from a whole one
        raise LengthRequired("send the file with a Content-Length")
    if size > max_bytes:
        raise RequestEntityTooLarge(f"the file must not be larger than {max_bytes} bytes")
    request.max_content_length = size  # checked against this route's own limit; the application's is far lower
    return Upload(request.mimetype, size, _pieces(timely_body(), size))


def _pieces(body: TimelyBody, size: int) -> Iterator[bytes]:
    """Yield the body as it arrives; one that breaks off raises, or the half would be taken for the whole."""
    left = size
    while left:
        try:
            piece = body.read(min(_PIECE, left))
        except TimeoutError as error:
            raise UploadStalled from error
        except (OSError, ClientDisconnected) as error:
            raise UploadBroken from error
        if not piece:
            raise UploadBroken
        left -= len(piece)
        yield piece
