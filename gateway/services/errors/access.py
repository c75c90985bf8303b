"""Who may call, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.services.errors.family import SegmentationError

if TYPE_CHECKING:
    from gateway.services.rate_limits import Standing


class Unauthenticated(SegmentationError):
    """Nobody that is known calls; `given` says whether an API key or token was shown at all."""

    def __init__(self, *, given: bool = True):
        refused = "the API key or token does not hold: it is unknown, wrong, revoked or expired"
        super().__init__(refused if given else "send an API key or a token, as in Authorization: Bearer csk_…")
        self.given = given


class ScopeMissing(SegmentationError):
    """The caller is known, and may not do this."""

    def __init__(self, scope: str):
        super().__init__(f"this needs the scope '{scope}'")
        self.scope = scope


class RateLimited(SegmentationError):
    """The caller has used up its window.

    Attributes
    ----------
    standing : which window, and when the next one begins.
    """

    def __init__(self, standing: Standing) -> None:
        super().__init__(f"{standing.limit} requests are allowed; the next one in {standing.reset} seconds")
        self.standing = standing


class ApiKeyNotFound(SegmentationError):
    """No API key has this id."""

    def __init__(self, key_id: str):
        super().__init__(f"there is no API key {key_id!r}")


class ApiKeyUnusable(SegmentationError):
    """The API key has been revoked or has expired; only a new key helps."""

    def __init__(self, key_id: str):
        super().__init__(f"API key {key_id!r} has been revoked or has expired: make a new one")


class IssuerUnavailable(SegmentationError):
    """Whoever issues bearer tokens cannot be asked for the keys to check one."""

    def __init__(self) -> None:
        super().__init__("the issuer of tokens cannot be reached, so that this one cannot be checked; try again")
