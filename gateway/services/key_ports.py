"""API keys as they are written and stored, and the port of their store."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from gateway.services.access import Scope

PREFIX: Final = "csk_"
"""What every key begins with, so that people and scanners for leaked secrets recognise one."""

_LETTERS = string.ascii_letters + string.digits  # no signs: a double click selects the whole key
_ID_LENGTH = 12
_SECRET_LENGTH = 43  # 43 of 62 letters carry 256 bits
_TEXT = re.compile(rf"{PREFIX}([A-Za-z0-9]{{{_ID_LENGTH}}})_([A-Za-z0-9]{{{_SECRET_LENGTH}}})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored: everything but its secret.

    Attributes
    ----------
    id : public; names the key for good.
    digest : SHA-256 of the secret. A slow hash guards passwords, which can be guessed; nobody guesses 256 random bits
        (NIST SP 800-63B, section 5.1.2.2, asks for 112 bits and an approved one-way function).
    last_used_at : to the minute, and None before the first use.
    old_digest, old_until : the secret before the last rotation, and until when it works beside the new one.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    digest: bytes
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    old_digest: bytes | None = None
    old_until: datetime | None = None

    def usable(self, at: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and at < self.expires_at

    def opens(self, digest: bytes, at: datetime) -> bool:
        """Whether the secret with this digest is one of the key's, and the key is usable; in constant time."""
        known = secrets.compare_digest(self.digest, digest)
        if not known and self.old_digest is not None and self.old_until is not None and at < self.old_until:
            known = secrets.compare_digest(self.old_digest, digest)
        return known and self.usable(at)


class Rotation(NamedTuple):
    """A new secret for a key: its digest, until when the old one works, and when the key expires."""

    digest: bytes
    old_until: datetime
    expires_at: datetime


class KeyStore(Protocol):
    """API keys, kept durably. Every method may raise `StoreError` or `StoreUnavailable`."""

    def get(self, key_id: str) -> ApiKey | None:
        """Return one key, or None."""

    def page(self, after: str | None, limit: int) -> list[ApiKey]:
        """Return up to `limit` keys with ids greater than `after`, in the order of their ids."""

    def insert(self, key: ApiKey) -> None:
        """Store a new key."""

    def revoke(self, key_id: str, at: datetime) -> bool:
        """Revoke a key, unless it is revoked already; return whether there is such a key."""

    def rotate(self, key: ApiKey, rotation: Rotation) -> bool:
        """Give the key a new secret if it still has that of `key` and is not revoked; return whether it did."""

    def used(self, key_id: str, at: datetime) -> None:
        """Note that a key was used, unless a later use is noted."""


def parse(text: str) -> tuple[str, bytes] | None:
    """Return the id and the secret's digest of a key's text, or None if no key looks like that."""
    if found := _TEXT.fullmatch(text):
        return found[1], digest_of(found[2])
    return None


def text_of(key_id: str, secret: str) -> str:
    """Return the text of a key."""
    return f"{PREFIX}{key_id}_{secret}"


def new_id() -> str:
    """Return an id that no key has."""
    return _random(_ID_LENGTH)


def new_secret() -> str:
    """Return a secret that nobody can guess."""
    return _random(_SECRET_LENGTH)


def digest_of(secret: str) -> bytes:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
