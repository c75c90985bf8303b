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
from jwt import PyJWK
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


def key_set(*names: str) -> dict[tuple[str, str], PyJWK]:
    """Return keys as `IssuerKeys` holds them."""
    algorithms = {name: "ES256" if name.startswith("curve") else "RS256" for name in names}
    return {(name, algorithm): PyJWK(jwk(name), algorithm) for name, algorithm in algorithms.items()}


def token(issuer: str, signer: str = "first", headers: dict[str, Any] | None = None, **claims: object) -> str:
    """Return a token that holds for five minutes; a claim of None is left out."""
    now = int(time.time())
    said = {"iss": issuer, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 300, "scope": "customers:read"}
    said = {claim: value for claim, value in {**said, **claims}.items() if value is not None}
    algorithm = "ES256" if signer.startswith("curve") else "RS256"
    named = {header: value for header, value in {"kid": signer, **(headers or {})}.items() if value is not None}
    return jwt.encode(said, private_key(signer), algorithm, named)


class Issuer:
    """The documents that the server answers with. Change `keys` to rotate; set `broken` to answer that instead."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [jwk("first")]
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
            DISCOVERY: {"issuer": self.url, "jwks_uri": self.url + JWKS},
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
