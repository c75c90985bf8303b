"""API keys as they are written and stored, and the port of their store."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Literal, NamedTuple, Protocol, TypedDict

from gateway.services.clock import now
from gateway.services.errors import ApiKeyNotFound, ApiKeyUnusable, InvalidInput
from gateway.services.events.recorder import Recorder
from gateway.services.pages import Page
from gateway.services.principal import Principal, Scope
from gateway.services.transactions import Transactions
from shared.problems import FieldError

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

    def digests(self, at: datetime) -> list[bytes]:
        """Return the digests of the secrets that open at a time: none if the key is not usable, two in an overlap."""
        if not self.usable(at):
            return []
        overlap = self.old_digest is not None and self.old_until is not None and at < self.old_until
        return [self.digest, self.old_digest] if overlap and self.old_digest else [self.digest]

    def opens(self, digest: bytes, at: datetime) -> bool:
        """Whether the secret with this digest is one of the key's, and the key is usable; in constant time."""
        return any(secrets.compare_digest(known, digest) for known in self.digests(at))


class Rotation(NamedTuple):
    """A new secret for a key: its digest, until when the old one works, and when the key expires."""

    digest: bytes
    old_until: datetime
    expires_at: datetime


class KeyStore(Protocol):
    """API keys, kept durably. Every method may raise `StoreError` or `StoreUnavailable`.

    `insert`, `revoke` and `rotate` take part in transactions.
    """

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


def parse_key(text: str) -> tuple[str, bytes] | None:
    """Return the id and the secret's digest of a key's text, or None if no key looks like that."""
    if found := _TEXT.fullmatch(text):
        return found[1], digest_of(found[2])
    return None


def key_text(key_id: str, secret: str) -> str:
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


DEFAULT_LIFETIME: Final = timedelta(days=365)
LONGEST_LIFETIME: Final = timedelta(days=730)
DEFAULT_OVERLAP: Final = timedelta(hours=1)
LONGEST_OVERLAP: Final = timedelta(days=30)


class ApiKeyView(TypedDict):
    """A key as its administrators see it; nothing of its secret is in it.

    ``prefix`` is how the key begins, ``status`` what it is worth now, ``created_by`` the kind and id of its maker,
    ``last_used_at`` precise to a minute, ``old_secret_until`` the end of the overlap after a rotation.
    """

    id: str
    name: str
    prefix: str
    scopes: list[Scope]
    status: Literal["active", "expired", "revoked"]
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    old_secret_until: datetime | None


class NewApiKey(ApiKeyView):
    """A key with its full text ``key``, which is told only once: to whoever makes it or rotates it."""

    key: str


class ApiKeyService:
    """Administration of API keys.

    `forget` is told the id of each key that changes, so that this process at once checks it anew.
    """

    def __init__(
        self,
        store: KeyStore,
        forget: Callable[[str], None],
        transactions: Transactions,
        recorder: Recorder,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._store = store
        self._forget = forget
        self._transactions = transactions
        self._recorder = recorder
        self._clock = clock

    def create(
        self, name: str, scopes: Collection[Scope], maker: Principal, expires: datetime | timedelta = DEFAULT_LIFETIME
    ) -> NewApiKey:
        """Store a new key and return it with its text.

        Raises
        ------
        InvalidInput
            unless it expires after now and within `LONGEST_LIFETIME`.
        """
        at = self._clock()
        secret = new_secret()
        key = ApiKey(
            id=new_id(),
            name=name,
            scopes=frozenset(scopes),
            digest=digest_of(secret),
            created_at=at,
            created_by=f"{maker.kind}:{maker.id}",
            expires_at=_expiry(expires, at),
        )
        self._transactions.run(lambda: self._insert(key))
        return self._with_secret(key, secret)

    def _insert(self, key: ApiKey) -> None:
        self._store.insert(key)
        self._recorder.note("api_key.created", "api_key", key.id)

    def get(self, key_id: str) -> ApiKeyView:
        """Return one key, whether it is usable or not.

        Raises
        ------
        ApiKeyNotFound
        """
        return self._view(self._key(key_id))

    def page(self, after: str | None, limit: int) -> Page[ApiKeyView, str]:
        """Return up to `limit` keys after the id `after`, in the order of their ids."""
        found = self._store.page(after, limit + 1)
        return Page.of(found, limit, lambda key: key.id, self._view)

    def revoke(self, key_id: str) -> None:
        """End a key for good; one that has ended stays as it is.

        This process refuses it at once, every other one within two seconds.
        The last key of an administrator can be revoked as well: one that has leaked must be, and the command line
        (``python -m gateway keys create``) makes another.

        Raises
        ------
        ApiKeyNotFound
        """
        self._transactions.run(lambda: self._revoke(key_id))
        self._forget(key_id)

    def _revoke(self, key_id: str) -> None:
        if not self._store.revoke(key_id, self._clock()):
            raise ApiKeyNotFound(key_id)
        self._recorder.note("api_key.revoked", "api_key", key_id)

    def rotate(
        self, key_id: str, overlap: timedelta = DEFAULT_OVERLAP, expires: datetime | timedelta | None = None
    ) -> NewApiKey:
        """Give a key a new secret and return its text; the old one works for `overlap` longer.

        An older one that still works ends now. The key keeps its expiry where `expires` is None.

        Raises
        ------
        ApiKeyNotFound, ApiKeyUnusable, and what `create` raises
        """
        secret = new_secret()
        at = self._clock()
        while (key := self._key(key_id)).usable(at):  # again only when another rotation came between
            expires_at = key.expires_at if expires is None else _expiry(expires, at)
            if self._transactions.run(
                partial(self._rotate, key, Rotation(digest_of(secret), at + overlap, expires_at))
            ):
                self._forget(key_id)
                return self._with_secret(self._key(key_id), secret)
        raise ApiKeyUnusable(key_id)

    def _rotate(self, key: ApiKey, rotation: Rotation) -> bool:
        if not self._store.rotate(key, rotation):
            return False
        self._recorder.note("api_key.rotated", "api_key", key.id)
        return True

    def _key(self, key_id: str) -> ApiKey:
        key = self._store.get(key_id)
        if key is None:
            raise ApiKeyNotFound(key_id)
        return key

    def _with_secret(self, key: ApiKey, secret: str) -> NewApiKey:
        return NewApiKey(**self._view(key), key=key_text(key.id, secret))

    def _view(self, key: ApiKey) -> ApiKeyView:
        at = self._clock()
        return ApiKeyView(
            id=key.id,
            name=key.name,
            prefix=f"{PREFIX}{key.id}",
            scopes=sorted(key.scopes),
            status="active" if key.usable(at) else "revoked" if key.revoked_at else "expired",
            created_at=key.created_at,
            created_by=key.created_by,
            expires_at=key.expires_at,
            last_used_at=key.last_used_at,
            revoked_at=key.revoked_at,
            old_secret_until=key.old_until if key.old_until and at < key.old_until else None,
        )


def _expiry(expires: datetime | timedelta, at: datetime) -> datetime:
    expires_at = at + expires if isinstance(expires, timedelta) else expires
    if not at < expires_at <= at + LONGEST_LIFETIME:
        detail = f"must be a time from now on, and within {LONGEST_LIFETIME.days} days"
        raise InvalidInput([FieldError(pointer="/expires_at", detail=detail)])
    return expires_at
