"""Guards on how often somebody may call: a caller by its key or token, whoever shows none that holds by address."""

from __future__ import annotations

import ipaddress
from functools import lru_cache, wraps
from typing import Any

from flask import g, request

from gateway import metrics
from gateway.middleware.security_headers import RATE_LIMIT_STATUS
from gateway.routes import Around, Route, View
from gateway.services.access.rate_limits import Limiter
from gateway.services.errors import RateLimited, Unauthenticated

_IPV6_SITE = 64


def rate_limited(limiter: Limiter) -> Around:
    """Return a guard that counts a caller's requests, for routes that have one; it comes after `authorized`."""

    def around(route: Route, view: View) -> View:
        if route.scope is None:
            return view

        @wraps(view)
        def guarded(**parts: Any) -> Any:
            _spend(limiter, g.principal.identity)
            return view(**parts)

        return guarded

    return around


def anonymous_rate_limited(limiter: Limiter) -> Around:
    """Return a guard that counts, by address, requests without a key or token that holds; it comes first.

    Many callers may share an address (a proxy, a company), so a key is always checked before anything is counted:
    however many bad ones somebody tries, a good one is heard. What checking costs is bounded by
    `authentication.KeyCache`. Pages that anybody may read are counted apart from bad keys, health checks never.
    """

    def around(route: Route, view: View) -> View:
        if route.path.startswith("/health/"):
            return view

        @wraps(view)
        def open_to_all(**parts: Any) -> Any:
            _spend(limiter, f"pages:{address()}")
            return view(**parts)

        @wraps(view)
        def guarded(**parts: Any) -> Any:
            try:
                return view(**parts)
            except Unauthenticated:
                _spend(limiter, address())
                raise

        return open_to_all if route.scope is None else guarded

    return around


def _spend(limiter: Limiter, caller: str) -> None:
    try:
        request.environ[RATE_LIMIT_STATUS] = limiter.spend(caller)
    except RateLimited as error:
        request.environ[RATE_LIMIT_STATUS] = error.standing
        metrics.rate_limited(error.standing.policy)
        raise


def address() -> str:
    """Return what stands for callers without a key: the address that the request comes from, or its network."""
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
