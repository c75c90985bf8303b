"""Where deliveries may go: to the public Internet over TLS, and wherever else the operator says (WEBHOOK_NETWORKS).

Callers name the addresses that the worker goes to. Without this, whoever may make webhooks could have it look around
where only the worker can: in the bank's own network, on the machine itself, or at the cloud's metadata address. What
decides is the address that is connected to, not the name: names are resolved anew for each delivery, so a name that led
elsewhere when the webhook was made (DNS rebinding) is refused then.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from shared.networks import Network, is_within

LONGEST_URL: Final = 2_000
_SPECIAL_USE: Final = (".localhost", ".local", ".internal", ".home.arpa")
"""Names that no public DNS has (RFC 6761, 6762 and 8375)."""
_PLAIN = re.compile(r"[!-~]+")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_TUNNELS: Final = tuple(map(ipaddress.IPv6Network, ("2001::/32", "2002::/16")))
"""Teredo and 6to4: addresses of these lead to an IPv4 address that they contain. NAT64 (64:ff9b::/96) is no unicast."""

_NO_SERVER: Final = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))
"""Protocol assignments, the relays of 6to4 and IPv6 documentation, which not every release of Python knows for such."""


class Destinations:
    """Says where deliveries may go.

    Parameters
    ----------
    networks : where they may go beside the public Internet, and without TLS.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    def fault(self, url: str) -> str | None:
        """Return what is wrong with a webhook's address as far as it shows without resolving its name, or None."""
        if len(url) > LONGEST_URL or not _PLAIN.fullmatch(url) or "\\" in url:
            return f"must be an address of at most {LONGEST_URL} characters, in ASCII and without blanks"
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return "must be an address such as https://crm.example.com/hooks"
        if parts.scheme not in ("https", "http") or port == 0 or not (_ip(host) or _HOST.fullmatch(host)):
            return "must be an address such as https://crm.example.com/hooks"
        if "@" in parts.netloc:
            return "must not have a user name or password in it; deliveries are signed"
        if "#" in url:
            return "must not have a fragment"
        return self._refused(parts.scheme, host)

    def _refused(self, scheme: str, host: str) -> str | None:
        if scheme == "http" and not self._networks:
            return "must begin with https://"
        if _ip(host) and not self.allows(scheme, host):
            return "must not be an address that deliveries may not go to (WEBHOOK_NETWORKS)"
        return None

    def allows(self, scheme: str, address: str) -> bool:
        """Whether a connection to an IP address may be made, over TLS (``https``) or without it."""
        if is_within(address, self._networks):
            return True
        found = _ip(address)
        return scheme == "https" and found is not None and _is_public(found)


def is_inside(host: str) -> bool:
    """Whether a host is in a network of its own, as far as its address or name tells without resolving it."""
    address, name = _ip(host), host.lower().rstrip(".")
    return not _is_public(address) if address else "." not in name or name.endswith(_SPECIAL_USE)


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address.scope_id or address not in _UNICAST or any(address in tunnel for tunnel in _TUNNELS):
            return False
    if any(address in network for network in _NO_SERVER):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)
