"""An OpenID Connect issuer: keys, tokens signed with them, and a server on loopback that publishes the keys.

People sign in there as well (authorization code with PKCE): whoever comes is ann, without being asked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from support.scripted_server import Request, ScriptedServer, http, serving

AUDIENCE = "segmentation"
JWKS = "/keys"
DISCOVERY = "/.well-known/openid-configuration"
AUTHORIZE, TOKEN = "/authorize", "/token"
CLIENT_ID, CLIENT_SECRET = "segmentation-pages", "only-the-two-of-us-know"


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

    Attributes
    ----------
    name : what the issuer calls itself, if not by its address.
    says : claims of access tokens; `says_of_sign_in` those of ID tokens.
    sent : the queries with which browsers came to sign in.
    refuses : the error with which it answers who brings a code.
    """

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [jwk("first")]
        self.name: str | None = None
        self.broken: bytes | None = None
        self.hangs = False
        self.says: dict[str, object] = {"name": "Ann Example"}
        self.says_of_sign_in: dict[str, object] = {}
        self.sent: list[dict[str, str]] = []
        self.refuses = ""
        self.server: ScriptedServer
        self._codes: dict[str, dict[str, str]] = {}

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
        connection.sendall(self.broken or self._answer(request))
        return True

    def _answer(self, request: Request) -> bytes:
        url = urlsplit(request.path)
        if url.path == AUTHORIZE:
            return self._sign_in(dict(parse_qsl(url.query)))
        if url.path == TOKEN:
            return self._tokens(request)
        endpoints = {"authorization_endpoint": self.url + AUTHORIZE, "token_endpoint": self.url + TOKEN}
        documents: dict[str, object] = {
            DISCOVERY: {"issuer": self.name or self.url, "jwks_uri": self.url + JWKS, **endpoints},
            JWKS: {"keys": self.keys},
        }
        return http(json.dumps(documents[request.path]))

    def _sign_in(self, query: dict[str, str]) -> bytes:
        self.sent.append(query)
        code = secrets.token_hex(8)
        self._codes[code] = query
        back = urlencode({"code": code, "state": query["state"], "iss": self.url, "session_state": "unheard of"})
        return http("", "303 See Other", f"Location: {query['redirect_uri']}?{back}\r\n")

    def _tokens(self, request: Request) -> bytes:
        form = dict(parse_qsl(request.body.decode()))
        begun = self._codes.pop(form.get("code", ""), None)
        error = self.refuses or (None if begun and self._is_the_same(begun, form, request) else "invalid_grant")
        if error or begun is None:
            return http(json.dumps({"error": error, "error_description": f"{form}"}), "400 Bad Request")
        of_sign_in = {"aud": CLIENT_ID, "nonce": begun["nonce"], **self.says_of_sign_in}
        answer = {"token_type": "Bearer", "expires_in": 300, "access_token": token(self.url, **self.says)}
        return http(json.dumps({**answer, "id_token": token(self.url, **of_sign_in)}))

    def _is_the_same(self, begun: dict[str, str], form: dict[str, str], request: Request) -> bool:
        """Whether who brings the code is who has asked for it: the client, with its secret, and the verifier (PKCE)."""
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        return (
            begun["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            and begun["redirect_uri"] == form["redirect_uri"]
            and begun["client_id"] == CLIENT_ID
            and request.headers.get("authorization", "") == f"Basic {basic}"
        )


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """Run an issuer on loopback."""
    issuer = Issuer()
    with serving(issuer.answer) as server:
        issuer.server = server
        yield issuer
