"""Guards on how often somebody may call: a caller by its key or token, whoever shows none that holds by address."""

from __future__ import annotations

import ipaddress
from functools import lru_cache, wraps
from typing import Any, Final

from flask import g, request

from gateway.middleware.security_headers import RATE_LIMIT_STATUS
from gateway.routes import Around, Route, View
from gateway.services.access.rate_limits import Limiter
from gateway.services.errors import RateLimited, Unauthenticated

MOST_KNOWN: Final = 10_000
_IPV6_SITE = 64


def rate_limited(limiter: Limiter) -> Around:
    """Return a guard that counts a caller's requests, for routes that have one; it comes after `authorized`."""

    def around(route: Route, view: View) -> View:
        if route.scope is None:
            return view

        @wraps(view)
        def guarded(**parts: Any) -> Any:
            principal = g.principal
            _spend(limiter, f"{principal.kind}:{principal.id}")
            return view(**parts)

        return guarded

    return around


def anonymous_rate_limited(limiter: Limiter) -> Around:
    """Return a guard that counts, by address, requests without a key or token that holds; it comes first.

    Whoever tries keys is refused unheard once the address has used up its window. But many callers may share an address
    (a proxy, a company), so credentials that have held before are heard all the same. Health checks are never counted.
    """
    held: set[int] = set()

    def around(route: Route, view: View) -> View:
        if route.path.startswith("/health/"):
            return view

        @wraps(view)
        def open_to_all(**parts: Any) -> Any:
            _spend(limiter, _address())
            return view(**parts)

        @wraps(view)
        def guarded(**parts: Any) -> Any:
            shown = hash(request.environ.get("HTTP_AUTHORIZATION"))
            if shown not in held:
                limiter.refuse_exhausted(_address())
            try:
                answer = view(**parts)
            except Unauthenticated:
                held.discard(shown)
                _spend(limiter, _address())
                raise
            if len(held) >= MOST_KNOWN:
                held.clear()
            held.add(shown)
            return answer

        return open_to_all if route.scope is None else guarded

    return around


def _spend(limiter: Limiter, caller: str) -> None:
    try:
        request.environ[RATE_LIMIT_STATUS] = limiter.spend(caller)
    except RateLimited as error:
        request.environ[RATE_LIMIT_STATUS] = error.standing
        raise


def _address() -> str:
    return f"address:{_site(request.remote_addr or '')}"


@lru_cache(4096)
def _site(address: str) -> str:
    """Return the address, or its network in IPv6, where a single caller has 2**64 of them."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], _IPV6_SITE), strict=False))
    except ValueError:
        return address
