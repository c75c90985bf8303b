"""What the values of settings may be, and where secrets come from."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import limits
from environs import Env, EnvError, validate
from marshmallow import ValidationError
from pymongo.errors import InvalidURI, PyMongoError
from pymongo.uri_parser import parse_uri

from gateway.services.rate_limits import Rate
from shared.secret_rules import secret_fault

PRODUCTION, DEVELOPMENT = DEPLOYMENTS = ("production", "development")
ASYMMETRIC = validate.ContainsOnly(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"])
"""Signatures that an issuer alone can make; with HS256 whoever knows the public key could sign."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def mongodb_uri(value: str) -> None:
    """Raise ValidationError unless the value is the address of a MongoDB with the name of a database."""
    try:
        database = parse_uri(value, validate=True)["database"]
    except (InvalidURI, PyMongoError, ValueError) as error:
        raise ValidationError(f"not a MongoDB address: {error}") from error
    if not database:
        raise ValidationError("name the database in it, as in mongodb://host:27017/segmentation")


def http_url(value: str) -> None:
    """Raise ValidationError unless the value is an HTTP address without a query."""
    if not _sound(value):
        raise ValidationError("must be an address such as http://127.0.0.1:8001")


def trusted_url(value: str) -> None:
    """Raise ValidationError unless what is read at the address comes from there: over TLS, or from this machine."""
    if not (_sound(value) and (value.startswith("https://") or urlsplit(value).hostname in _LOOPBACK)):
        raise ValidationError("must be an address such as https://login.example.com/realm")


def _sound(value: str) -> bool:
    try:
        url = urlsplit(value)
        sound = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False
    return sound and not (url.query or url.fragment or re.search(r"\s", value))


def origins(values: list[str]) -> None:
    """Raise ValidationError unless each value is ``*`` or an origin as browsers name it (scheme, host, port)."""
    for value in values:
        url = urlsplit(value)
        named = _sound(value) and value == f"{url.scheme}://{url.netloc}".lower() and "@" not in value
        if value != "*" and not named:
            raise ValidationError("must be origins such as https://crm.example.com, with commas between them")


def read_rates(env: Env, name: str, plain: tuple[Rate, ...]) -> tuple[Rate, ...]:
    """Read rates such as ``12000 per minute``, with a semicolon between several."""
    text = env.str(name, None)
    if text is None:
        return plain
    try:
        rates = tuple(Rate(item.amount, item.get_expiry()) for item in limits.parse_many(text))
    except ValueError:
        rates = ()
    if not rates or any(rate.amount < 1 or rate.seconds < 1 for rate in rates) or len(set(rates)) < len(rates):
        raise EnvError(f'Environment variable "{name}" invalid: must be rates such as 12000 per minute; 200000 per day')
    return rates


def between(least: float, most: float = 3600) -> Callable[[float], object]:
    """Return a check that a number is within these bounds."""
    return validate.Range(least, most)


def folder(path: Path) -> None:
    """Raise ValidationError unless it is a directory that can be written to."""
    if not path.is_dir() or not os.access(path, os.W_OK):
        raise ValidationError(f"there is no directory {path} that can be written to")


def heartbeat(path: Path) -> None:
    """Raise ValidationError unless the file can be made."""
    if not path.parent.is_dir():
        raise ValidationError(f"there is no directory {path.parent}")


def readable(path: Path) -> None:
    """Raise ValidationError unless the file can be read."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValidationError(f"names a file that cannot be read: {error.strerror}") from error


def certificates(path: Path) -> None:
    """Raise ValidationError unless the file has certificates."""
    readable(path)
    try:
        ssl.create_default_context(cafile=str(path))
    except ssl.SSLError as error:
        raise ValidationError("names a file without certificates in PEM format") from error


def check_pair(cert: Path | None, key: Path | None) -> None:
    """Raise EnvError unless the certificate and the key belong together."""
    if cert is None and key is None:
        return
    try:
        ssl.create_default_context().load_cert_chain(cert or "", key)
    except OSError as error:  # an SSLError too
        raise EnvError("MODEL_SERVICE_CLIENT_CERT and MODEL_SERVICE_CLIENT_KEY do not belong together") from error


def read_secret(env: Env, name: str) -> str | None:
    """Read a secret from the variable, or from the file that NAME_FILE names (Docker and Kubernetes secrets)."""
    if file := env.path(f"{name}_FILE", None):
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise EnvError(f'Environment variable "{name}_FILE" names a file that cannot be read: {error}') from error
    return env.str(name, None)


def read_strong_secret(env: Env, name: str, deployment: str, in_development: str) -> str:
    """Read a secret that production cannot do without; development takes any, and `in_development` for none."""
    secret = read_secret(env, name)
    if deployment == DEVELOPMENT:
        return secret or in_development
    if fault := secret_fault(secret):
        hint = "openssl rand -base64 36 makes one; DEPLOYMENT=development does without"
        raise EnvError(f'Environment variable "{name}" (or "{name}_FILE") {fault}; {hint}')
    assert secret is not None  # that is a fault
    return secret
