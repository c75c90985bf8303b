"""Who calls, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Scope(StrEnum):
    """What a caller may do; `ADMIN` includes all the others."""

    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"
    PREDICTIONS = "predictions"
    MODELS_READ = "models:read"
    MODELS_MANAGE = "models:manage"
    EVENTS_READ = "events:read"
    WEBHOOKS = "webhooks"
    METRICS_READ = "metrics:read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls.

    Attributes
    ----------
    kind : an API key, a bearer token of the configured issuer, or this installation itself (its command line).
    id : the key's public id, or the token's subject; with `kind` it names the caller for good.
    name : what people call them.
    scopes : what they may do.
    """

    kind: Literal["api_key", "token", "system"]
    id: str
    name: str
    scopes: frozenset[Scope]

    @property
    def identity(self) -> str:
        """What limits know the caller by."""
        return f"{self.kind}:{self.id}"

    def may(self, scope: Scope) -> bool:
        """Whether the caller has the scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


COMMAND_LINE = Principal("system", "command-line", "command line", frozenset({Scope.ADMIN}))
"""Whoever may run commands on this installation."""
