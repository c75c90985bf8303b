"""Which Host a request may name (RFC 9112 section 3.2); short, and here because both tiers ask."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache

# RFC 3986's reg-name without the sub-delims: no host has them, and servers join repeated headers by a comma.
_NAME = re.compile(r"(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+")
_PORT = re.compile(r"(?::[0-9]{0,5})?")


def host_fault(given: Sequence[str]) -> str | None:
    """Say what is wrong with the Host headers of a request of HTTP/1.1, or None when it has one as it must have."""
    if len(given) > 1:
        return "The request has more than one Host header."
    if not given or not given[0]:
        return "The request has no Host header, which HTTP/1.1 demands."
    return None if _is_host(given[0]) else "The request's Host header is no host with or without a port."


@lru_cache(1024)
def _is_host(text: str) -> bool:
    """Whether `text` is a host, by name or address, with or without a port."""
    if text.startswith("["):
        address, closed, port = text[1:].partition("]")
        try:
            ipaddress.IPv6Address(address)
            return bool(closed and "%" not in address and _PORT.fullmatch(port))
        except ValueError:
            return False
    name, colon, port = text.partition(":")
    return bool(_NAME.fullmatch(name) and _PORT.fullmatch(colon + port))
