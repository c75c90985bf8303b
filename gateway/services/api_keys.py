"""API keys: made, listed, revoked and replaced. `gateway.services.authentication` checks them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypedDict

from gateway.services.access import Principal, Scope
from gateway.services.auditor import Auditor, Change
from gateway.services.clock import now
from gateway.services.errors import ApiKeyNotFound, ApiKeyUnusable, InvalidInput
from gateway.services.key_ports import PREFIX, ApiKey, KeyStore, Rotation, digest_of, new_id, new_secret, text_of
from shared.problems import FieldError

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


class ApiKeyPage(NamedTuple):
    """One page of keys; `more` says whether keys follow the last one."""

    items: list[ApiKeyView]
    more: bool


class ApiKeyService:
    """Administration of API keys.

    `forget` is told the id of each key that changes, so that this process at once checks it anew.
    """

    def __init__(
        self, store: KeyStore, forget: Callable[[str], None], auditor: Auditor, clock: Callable[[], datetime] = now
    ) -> None:
        self._store = store
        self._forget = forget
        self._auditor = auditor
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
        with self._auditor.change(Change("api_key.created", "api_key", key.id)):
            self._store.insert(key)
        return self._told(key, secret)

    def get(self, key_id: str) -> ApiKeyView:
        """Return one key, whether it is usable or not.

        Raises
        ------
        ApiKeyNotFound
        """
        return self._view(self._key(key_id))

    def page(self, after: str | None, limit: int) -> ApiKeyPage:
        """Return up to `limit` keys after the id `after`, in the order of their ids."""
        found = self._store.page(after, limit + 1)
        return ApiKeyPage([self._view(key) for key in found[:limit]], len(found) > limit)

    def revoke(self, key_id: str) -> None:
        """End a key for good; one that has ended stays as it is.

        This process refuses it at once, every other one within two seconds.
        The last key of an administrator can be revoked as well: one that has leaked must be, and the command line
        (``python -m gateway keys create``) makes another.

        Raises
        ------
        ApiKeyNotFound
        """
        with self._auditor.change(Change("api_key.revoked", "api_key", key_id)):
            if not self._store.revoke(key_id, self._clock()):
                raise ApiKeyNotFound(key_id)
        self._forget(key_id)

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
            rotation = Rotation(digest_of(secret), at + overlap, expires_at)
            with self._auditor.change(Change("api_key.rotated", "api_key", key_id)) as announced:
                if not self._store.rotate(key, rotation):
                    announced.refused()
                    continue
            self._forget(key_id)
            return self._told(self._key(key_id), secret)
        raise ApiKeyUnusable(key_id)

    def _key(self, key_id: str) -> ApiKey:
        key = self._store.get(key_id)
        if key is None:
            raise ApiKeyNotFound(key_id)
        return key

    def _told(self, key: ApiKey, secret: str) -> NewApiKey:
        return NewApiKey(**self._view(key), key=text_of(key.id, secret))

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
