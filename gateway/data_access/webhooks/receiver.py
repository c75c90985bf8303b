"""Deliveries over HTTP: the `Receiver` port, signed as the Standard Webhooks specification says.

Written on http.client, not on the tiers' client library: the connection must go to the very address that was checked,
never by way of a proxy or a redirect, and everything, from the connection to the answer's first bytes, must be over
within one time limit, also where a receiver sends a byte now and then. That is a socket of our own, and a timer that
shuts it.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from threading import Lock, Timer
from typing import Final
from urllib.parse import SplitResult, urlsplit

from standardwebhooks import Webhook as Signer

from gateway import metrics
from gateway.services.webhooks.destinations import Destinations
from gateway.services.webhooks.webhook import Message, Outcome, Receipt

LONGEST_ANSWER: Final = 1_000
"""Bytes that are read of an answer which does not accept a message; nothing is read of one that does."""
_GONE: Final = 410
_AGENT: Final = "customer-segmentation-webhooks"

Resolve = Callable[[str, int], Sequence[str]]


def resolved(host: str, port: int) -> Sequence[str]:
    """Return the IP addresses of a name.

    Raises
    ------
    OSError, UnicodeError
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _NotSent(Exception):
    """Nothing was sent, for the reason that the message says."""


class _Limit:
    """Shuts a connection when the time is up, whatever it is waiting for."""

    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds
        self.over = False
        self._seconds = seconds
        self._socket: socket.socket | None = None
        self._lock = Lock()

    def left(self) -> float:
        """Return the seconds that are left.

        Raises
        ------
        TimeoutError
        """
        left = self.ends - time.monotonic()
        if left <= 0:
            self.over = True
            raise TimeoutError
        return left

    def holds(self, connection: socket.socket) -> None:
        """Shut this connection in the end; the socket before it has become a part of it."""
        with self._lock:
            self._socket = connection

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the time pass."""
        timer = Timer(self.left(), self._shut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                connection, self._socket = self._socket, None
            if connection is not None:
                connection.close()

    def _shut(self) -> None:
        with self._lock:
            self.over = True
            if self._socket is not None:
                try:
                    # That of TLS would first say goodbye, and wait for an answer to it.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:  # it has ended by itself
                    return


class HttpReceiver:
    """The `Receiver` over HTTP.

    Parameters
    ----------
    timeout : seconds for all of it.
    certificates : a file of certificates that are trusted beside the system's.
    resolve : finds the addresses of a name.
    """

    def __init__(
        self, destinations: Destinations, timeout: float, certificates: Path | None = None, resolve: Resolve = resolved
    ) -> None:
        self._destinations = destinations
        self._timeout = timeout
        self._certificates = certificates
        self._resolve = resolve

    @cached_property
    def _tls(self) -> ssl.SSLContext:  # made by whoever delivers, as it takes time and memory
        context = ssl.create_default_context()
        if self._certificates is not None:
            context.load_verify_locations(self._certificates)
        return context

    def send(self, url: str, message: Message, signing_secrets: Sequence[str]) -> Receipt:
        begun, limit = time.monotonic(), _Limit(self._timeout)
        receipt = self._attempt(urlsplit(url), message, signing_secrets, limit)
        seconds = time.monotonic() - begun
        metrics.webhook_answered(receipt.outcome, seconds)
        return Receipt(receipt.outcome, receipt.detail, seconds, receipt.status, receipt.text, receipt.retry_after)

    def _attempt(self, url: SplitResult, message: Message, signing_secrets: Sequence[str], limit: _Limit) -> Receipt:
        try:
            address = self._address(url)
            with limit.running():
                return self._exchange(url, address, _headers(url, message, signing_secrets), message.body, limit)
        except _NotSent as error:
            return _unreachable(str(error))
        except (OSError, http.client.HTTPException, ValueError) as error:
            if limit.over or isinstance(error, TimeoutError):
                return _unreachable(f"There was no answer within {self._timeout:g} seconds.")
            return _unreachable(_reason(error))

    def _address(self, url: SplitResult) -> str:
        """Return the address to connect to: the first of the name's, if all of them may be gone to."""
        host = url.hostname or ""
        try:
            found = self._resolve(host, _port(url))
        except (OSError, UnicodeError):
            raise _NotSent(f"The name {host} cannot be resolved.") from None
        if not found:
            raise _NotSent(f"The name {host} has no address.")
        for address in found:
            if not self._destinations.allows(url.scheme, address):
                raise _NotSent(
                    f"{host} leads to {address}, where deliveries may not go"
                    f"{' without TLS' if url.scheme == 'http' else ''}: see the setting WEBHOOK_NETWORKS."
                )
        return found[0]

    def _exchange(self, url: SplitResult, address: str, headers: dict[str, str], body: bytes, limit: _Limit) -> Receipt:
        connection = http.client.HTTPConnection(address, timeout=self._timeout)
        connection.sock = self._connected(url, address, limit)
        connection.request("POST", _target(url), body, headers)
        with connection.getresponse() as answer:
            limit.left()  # where the time is up, what was shut midway passes for an answer
            detail = _shown(f"{answer.status} {answer.reason}".strip()[:200])
            outcome = _outcome(answer.status)
            if outcome == "accepted":
                return Receipt(outcome, detail, 0.0, answer.status)
            if 300 <= answer.status < 400:
                detail += ": redirects are not followed; give the webhook the address that it leads to"
            retry_after = _seconds(answer.headers.get("Retry-After", ""))
            return Receipt(outcome, detail, 0.0, answer.status, _beginning(answer), retry_after)

    def _connected(self, url: SplitResult, address: str, limit: _Limit) -> socket.socket:
        plain = socket.create_connection((address, _port(url)), timeout=limit.left())
        limit.holds(plain)
        if url.scheme == "http":
            return plain
        secured = self._tls.wrap_socket(plain, server_hostname=url.hostname, do_handshake_on_connect=False)
        limit.holds(secured)
        secured.do_handshake()
        return secured


def _port(url: SplitResult) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _headers(url: SplitResult, message: Message, signing_secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers of a message; the time is that of this attempt, and is signed as well."""
    at = datetime.now(UTC).replace(microsecond=0)
    signatures = [Signer(secret).sign(message.id, at, message.body.decode()) for secret in signing_secrets]
    return {
        "Host": url.netloc,
        "User-Agent": _AGENT,
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "webhook-id": message.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _outcome(status: int) -> Outcome:
    if 200 <= status < 300:
        return "accepted"
    return "gone" if status == _GONE else "refused"


def _beginning(answer: http.client.HTTPResponse) -> str:
    """Return the beginning of an answer's text, as far as it comes in time."""
    read = b""
    try:
        while len(read) < LONGEST_ANSWER and (piece := answer.read1(LONGEST_ANSWER - len(read))):
            read += piece
    except (OSError, http.client.HTTPException, ValueError):
        pass  # what there is of it is enough: the status has said that it is not accepted
    return _shown(read.decode(errors="replace"))


def _shown(text: str) -> str:
    """Return a text in which nothing moves the cursor or stands for itself alone."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def _seconds(retry_after: str) -> float | None:
    """Return what a Retry-After asks for (RFC 9110 section 10.2.3): seconds, or a time."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at - datetime.now(UTC)).total_seconds()) if at.tzinfo else None


def _unreachable(detail: str) -> Receipt:
    return Receipt("unreachable", detail, 0.0)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The receiver's certificate is not valid: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return "The receiver does not speak TLS as it should."
    if isinstance(error, ConnectionRefusedError):
        return "The connection was refused."
    if isinstance(error, http.client.RemoteDisconnected | ConnectionError):
        return "The connection was closed before there was an answer."
    if isinstance(error, OSError):
        return f"The receiver cannot be reached: {error.strerror or 'the network failed'}."
    return "The answer is not valid HTTP."
