"""Networks, as settings name them and requests come from them; short, and here because both tiers ask for metrics."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: Final[tuple[Network, ...]] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))


def networks(value: Any) -> Any:
    """Parse networks or addresses with commas between them, such as ``10.0.0.0/8, 192.168.1.7``.

    Raises
    ------
    ValueError
    """
    if not isinstance(value, str):
        return value
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",")) if value.strip() else ()
    except ValueError as error:
        raise ValueError(f"must be networks such as 10.0.0.0/8, with commas between them: {error}") from error


def is_within(address: str | None, among: Sequence[Network]) -> bool:
    """Whether an address is in one of the networks; what is no address is in none."""
    parsed = _parsed(address or "") if among else None
    return parsed is not None and any(parsed in network for network in among)


@lru_cache(1024)
def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found
