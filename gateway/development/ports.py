"""Saying that a port is taken before a server half-starts on it."""

from __future__ import annotations

import socket

import click


def refuse_taken(name: str, host: str, port: int) -> None:
    """Raise ClickException if something listens on the port already.

    granian would share the port with it without a word, mongod would end without one.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise click.ClickException(f"the {name} cannot listen on {host}:{port}: {error.strerror}") from None
