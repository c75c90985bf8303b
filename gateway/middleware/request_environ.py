"""The WSGI environment says what the request says, parsed, and nothing else: servers are not strict about it.

- granian lays requests over the environment of the process, so that a variable ``HTTP_AUTHORIZATION`` would be a header
  of every request without it; gunicorn looks for a variable ``SCRIPT_NAME``.
- Proxies write addresses with ports, in brackets, or as IPv6 forms of IPv4 addresses, and clients write what they like.
- An offer to upgrade to another protocol may be ignored (RFC 9110 section 7.8); werkzeug refuses one to WebSocket.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, MutableMapping
from functools import lru_cache
from typing import Any, Final

from flask import Flask, request
from werkzeug.exceptions import BadRequest

from shared.hosts import host_fault

_META_VARIABLES: Final = {
    *("AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "GATEWAY_INTERFACE", "PATH_INFO", "PATH_TRANSLATED"),
    *("QUERY_STRING", "RAW_URI", "REMOTE_ADDR", "REMOTE_HOST", "REMOTE_IDENT", "REMOTE_PORT", "REMOTE_USER"),
    *("REQUEST_METHOD", "REQUEST_URI", "SCRIPT_NAME"),
    *("SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "SERVER_SOFTWARE"),
}
"""Of CGI (RFC 3875 section 4.1), and what servers add to them."""

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_SCHEMES: Final = ("http", "https")

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def drop_request_variables(variables: MutableMapping[str, str]) -> None:
    """Take out of the process's environment what could be taken for a part of requests.

    Names with a dot (``wsgi.input``, ``gunicorn.socket``) are those of servers and frameworks.
    """
    for name in [*variables]:
        if name.startswith("HTTP_") or name in _META_VARIABLES or "." in name:
            del variables[name]


class RequestEnviron:
    """WSGI middleware, the outermost: who calls, over which scheme, and no offer to upgrade.

    Parameters
    ----------
    trusted_proxies : how many proxies stand before the gateway, each of which has added the address that called it to
        X-Forwarded-For, and its scheme to X-Forwarded-Proto. Without any, a client could name whichever it likes.
    """

    def __init__(self, application: Application, trusted_proxies: int) -> None:
        self._application = application
        self._proxies = trusted_proxies

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Handle one request."""
        environ.pop("HTTP_UPGRADE", None)
        peer = environ.get("REMOTE_ADDR", "")
        environ["REMOTE_ADDR"] = client_address(peer) or peer
        if self._proxies:
            if address := client_address(self._forwarded(environ, "HTTP_X_FORWARDED_FOR")):
                environ["REMOTE_ADDR"] = address
            scheme = self._forwarded(environ, "HTTP_X_FORWARDED_PROTO").strip().lower()
            if scheme in _SCHEMES:
                environ["wsgi.url_scheme"] = scheme
        return self._application(environ, start_response)

    def _forwarded(self, environ: dict[str, Any], name: str) -> str:
        """Return what the outermost of the trusted proxies says; nothing if that one has said nothing."""
        said = environ.get(name, "").split(",")
        return str(said[-self._proxies]) if len(said) >= self._proxies else ""


@lru_cache(4096)
def client_address(text: str) -> str | None:
    """Return the IP address that `text` says, in its one canonical form; None if it says none.

    A port, brackets and a zone are left out; an IPv4 address that is written as IPv6 is the IPv4 address.
    """
    host = text.strip().strip('"')
    if host.startswith("[") and "]" in host:
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return str(_plain(address) if isinstance(address, ipaddress.IPv6Address) else address)


def _plain(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def register(app: Flask) -> None:
    """Make the application refuse requests of which nobody can say what they ask for, or of whom."""
    app.before_request(_refuse_unclear)


def _refuse_unclear() -> None:
    environ = request.environ
    hosts = environ.get("HTTP_HOST", "").split(",")  # servers join repeated headers
    if environ["SERVER_PROTOCOL"] == "HTTP/1.1" and (fault := host_fault(hosts)):
        raise BadRequest(fault)
    if not environ["PATH_INFO"].startswith("/"):
        raise BadRequest("The request's target is no path.")
