"""Where the model service is. The system's resolver keeps no deadline, so names are looked up in a thread of their own.

Docker's DNS asks outside for the name of a stopped container, and waits 8 seconds where nobody answers there.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

_Found = list[tuple[Any, ...]]


class Addresses:
    """Connects to a host; of many threads that need its address at once, one look serves all."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._lock = threading.Lock()
        self._look: Future[_Found] | None = None
        self._is_number = _is_number(host)

    def connected(self, seconds: float) -> socket.socket:
        """Return a connection, looked for and made within so many seconds.

        Raises
        ------
        OSError
            where nobody has that name, no address takes the connection, or the time is over.
        """
        give_up_at = time.monotonic() + seconds
        failure = OSError(f"no address for {self._host}")
        for found in self._found(seconds):
            left = give_up_at - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            try:
                return _connected(found, left)
            except OSError as error:
                failure = error
        raise failure

    def _found(self, seconds: float) -> _Found:
        if self._is_number:  # nobody is asked for it
            return socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        with self._lock:
            look = self._look
            if look is None:
                look = Future()
                threading.Thread(target=self._find, args=(look,), name="model-service-address", daemon=True).start()
                self._look = look
        return look.result(seconds)

    def _find(self, look: Future[_Found]) -> None:
        try:
            look.set_result(socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            look.set_exception(error)
        finally:
            with self._lock:
                self._look = None


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _connected(found: tuple[Any, ...], seconds: float) -> socket.socket:
    *kind, _name, address = found
    connecting = socket.socket(*kind)
    try:
        connecting.settimeout(seconds)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connecting.connect(address)
    except OSError:
        connecting.close()
        raise
    return connecting
