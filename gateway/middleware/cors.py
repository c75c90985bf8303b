"""Which web pages of other origins may call the API from a browser (CORS)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask import Flask
from flask_cors import CORS

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
REQUEST_HEADERS = (
    "Accept",
    "Authorization",
    "Content-Digest",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Repr-Digest",
    "X-Request-ID",
)
RESPONSE_HEADERS = (
    "Content-Disposition",
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Limit",
    "RateLimit-Policy",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
)
PREFLIGHT_SECONDS = 3600
"""How long a browser need not ask again."""


def allow(app: Flask, origins: Sequence[str]) -> None:
    """Let pages of these origins call, with a key or token that they show themselves; cookies are never part of it.

    Without origins nothing is installed: Flask-CORS costs 50 us an answer.
    """
    if origins:
        CORS(
            app,
            # As they are written: Flask-CORS takes a text with a bracket, such as an IPv6 address has, for a pattern.
            origins=[re.compile(rf"{re.escape(origin)}\Z") for origin in origins],
            methods=list(METHODS),
            allow_headers=list(REQUEST_HEADERS),
            expose_headers=list(RESPONSE_HEADERS),
            supports_credentials=False,
            max_age=PREFLIGHT_SECONDS,
        )
