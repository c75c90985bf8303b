"""Headers that every answer has: what browsers may do with it, where its caller stands, and nothing about the software.

A WSGI middleware with a table of constants, because it costs 2 us an answer. Measured with the same five headers, CPU
above a bare Flask request of 126 us: this 2, ``Headers.setdefault`` in an after_request 20, Flask-Talisman 1.1.0 55;
and Talisman's defaults (redirects, session cookies) are for pages rather than for an API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from gateway.services.errors import RateLimitStatus

RATE_LIMIT_STATUS: Final = "gateway.standing"
"""Where guards put a request's `RateLimitStatus` in its WSGI environment."""

POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
"""What a browser may load while it shows an answer: nothing. Reports, plots and documentation bring their own."""

NAMELESS: Final = ("Server", "gateway")
"""granian puts its own name where there is none; gunicorn's is left out by `gateway.gunicorn_conf`."""

_ALWAYS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)

Headers = list[tuple[str, str]]
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class SecurityHeaders:
    """Adds the headers to the answers of a WSGI application, except for those that it has set itself.

    Parameters
    ----------
    hsts_seconds : how long browsers that came over TLS shall come over nothing else; 0 says nothing about it.
    """

    def __init__(self, application: Application, hsts_seconds: int) -> None:
        self._application = application
        self._hsts = ("Strict-Transport-Security", f"max-age={hsts_seconds}") if hsts_seconds else None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Handle one request."""

        def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
            return start_response(status, [*headers, *self._added(environ, headers)], exc_info)

        return self._application(environ, start)

    def _added(self, environ: dict[str, Any], headers: Headers) -> Headers:
        own = {name for name, _ in headers}
        added = [*_ALWAYS]
        if "Cache-Control" not in own:
            # Personal data stay out of every store; but where a revision can be asked for again, a browser may.
            added.append(("Cache-Control", "private, no-cache" if "ETag" in own else "no-store"))
        if "Referrer-Policy" not in own:
            added.append(("Referrer-Policy", "no-referrer"))
        if "Content-Security-Policy" not in own:
            added.append(("Content-Security-Policy", POLICY))
        if "gunicorn.socket" not in environ:
            added.append(NAMELESS)
        if self._hsts and environ["wsgi.url_scheme"] == "https":
            added.append(self._hsts)
        if standing := environ.get(RATE_LIMIT_STATUS):
            added += _standing(standing)
        return added


def _standing(standing: RateLimitStatus) -> Headers:
    """Return the headers of draft-ietf-httpapi-ratelimit-headers-10, and those of its first drafts: tools read them."""
    policy, limit, remaining, reset, policies = standing
    return [
        ("RateLimit", f'"{policy}";r={remaining};t={reset}'),
        ("RateLimit-Policy", policies),
        ("RateLimit-Limit", str(limit)),
        ("RateLimit-Remaining", str(remaining)),
        ("RateLimit-Reset", str(reset)),
    ]
