"""An OpenID Connect issuer: keys, tokens signed with them, and a server on loopback that publishes the keys."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from support.scripted_server import Request, ScriptedServer, http, serving

AUDIENCE = "segmentation"
JWKS = "/keys"
DISCOVERY = "/.well-known/openid-configuration"


@cache
def private_key(name: str, bits: int = 2048) -> Any:
    """Return a private key of this name: an RSA key, or one on a curve if the name says so."""
    if name.startswith("curve"):
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, bits)


def jwk(name: str, **more: object) -> dict[str, Any]:
    """Return the public half of a key, as an issuer publishes it."""
    algorithm = ECAlgorithm if name.startswith("curve") else RSAAlgorithm
    public = algorithm.to_jwk(private_key(name).public_key(), as_dict=True)
    return {**public, "kid": name, "use": "sig", **more}


def unnamed(name: str, **more: object) -> dict[str, Any]:
    """Return the public half of a key without its id."""
    return {member: value for member, value in jwk(name, **more).items() if member != "kid"}


def token(issuer: str, signer: str = "first", headers: dict[str, Any] | None = None, **claims: object) -> str:
    """Return a token that holds for five minutes; a claim of None is left out."""
    now = int(time.time())
    said = {"iss": issuer, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 300, "scope": "customers:read"}
    said = {claim: value for claim, value in {**said, **claims}.items() if value is not None}
    algorithm = "ES256" if signer.startswith("curve") else "RS256"
    named = {header: value for header, value in {"kid": signer, **(headers or {})}.items() if value is not None}
    return jwt.encode(said, private_key(signer), algorithm, named)


class Issuer:
    """The documents that the server answers with. Change `keys` to rotate; set `broken` to answer that instead.

    `name` is what the issuer calls itself, if not by its address.
    """

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [jwk("first")]
        self.name: str | None = None
        self.broken: bytes | None = None
        self.hangs = False
        self.server: ScriptedServer

    @property
    def url(self) -> str:
        """The issuer's name and address."""
        return self.server.url

    def asked(self, path: str = JWKS) -> int:
        """Return how often a document was fetched."""
        return sum(request.path == path for request in self.server.requests)

    def answer(self, server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
        """Answer as an issuer does."""
        if self.hangs:
            server.stopping.wait()
            return False
        documents: dict[str, object] = {
            DISCOVERY: {"issuer": self.name or self.url, "jwks_uri": self.url + JWKS},
            JWKS: {"keys": self.keys},
        }
        connection.sendall(self.broken or http(json.dumps(documents[request.path])))
        return True


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """Run an issuer on loopback."""
    issuer = Issuer()
    with serving(issuer.answer) as server:
        issuer.server = server
        yield issuer
