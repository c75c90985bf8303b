"""The audit trail in words: who did what, to what, when, and from where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from flask import Response

from gateway.controllers.http import query
from gateway.controllers.pages import query_without_cursor
from gateway.pages.rendering import page
from gateway.schemas.paging import POSITION_CURSOR, cursor_after
from gateway.schemas.queries import Parameter
from gateway.services.access.api_keys import ApiKeyService
from gateway.services.events.audit import AuditEntry, AuditService
from gateway.services.events.change import Cause, ChangeType
from gateway.services.events.log import AuditFilters
from shared.features import BY_NAME

_ON_A_PAGE: Final = 50
_MOST_KEYS: Final = 500
_HERE: Final = "/settings/audit"
_FIELDS: Final = ("subject", "actor", "action", "from", "until", "moved")
_MOVE: Final = "customer.segment_changed"

WORDS: Final[Mapping[ChangeType, str]] = {
    "customer.created": "added a customer",
    "customer.updated": "changed a customer",
    "customer.segment_changed": "moved a customer to another segment",
    "customer.rescored": "asked for a customer's segment anew",
    "customer.deleted": "deleted a customer",
    "customer.restored": "brought a customer back",
    "customer.erased": "erased a customer for good",
    "import.started": "began an import",
    "import.completed": "finished an import",
    "assignments.recomputed": "gave all customers their segments anew",
    "segment.relabelled": "renamed or described a segment",
    "model.activated": "activated a model",
    "model.rolled_back": "went back to an earlier model",
    "training.started": "began a training",
    "training.cancelled": "cancelled a training",
    "api_key.created": "made an API key",
    "api_key.rotated": "gave an API key a new secret",
    "api_key.revoked": "revoked an API key",
    "webhook.created": "made a webhook",
    "webhook.updated": "changed a webhook",
    "webhook.rotated": "gave a webhook a new secret",
    "webhook.disabled": "switched a webhook off",
    "webhook.replayed": "sent deliveries of a webhook again",
    "webhook.deleted": "deleted a webhook",
    "database.restored": "restored a backup",
}
"""What somebody has done, in words; of every kind of entry."""
_FOLLOWED: Final[Mapping[Cause, str]] = {
    "import": "imported a file, which changed a customer",
    "model_activated": "activated a model, which moved a customer",
    "rollback": "went back to an earlier model, which moved a customer",
}
"""What somebody has done, where the entry is about what followed for one customer."""
_ROOMS: Final = {
    "customer": "/customers/",
    "import": "/imports/",
    "segment": "/segments/",
    "model": "/models/",
    "training": "/trainings/",
    "webhook": "/settings/webhooks/",
}
_KINDS: Final = {"api_key": "API key", "token": "signed in by the issuer", "system": "this installation"}


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d") if text else None  # in UTC, as all times of the log
    except ValueError:
        raise ValueError("must be a day such as 2026-11-27") from None


def _action(text: str) -> str:
    if text and text not in WORDS:
        raise ValueError("must be an action of the list")
    return text


def _of_form(name: str, read: Any = str.strip) -> Parameter:
    """Return a field of the form; where nothing is typed, the browser sends an empty text."""
    return Parameter(name, read, "", {"type": "string"})


class AuditPageController:
    """The audit trail. Customers that moved with many others are left out unless somebody asks for them, or for one."""

    PARAMETERS: Final = (
        _of_form("subject"),
        _of_form("actor"),
        _of_form("action", _action),
        _of_form("from", _day),
        _of_form("until", _day),
        _of_form("moved"),
        POSITION_CURSOR,
    )

    def __init__(self, audit: AuditService, keys: ApiKeyService) -> None:
        self._audit = audit
        self._keys = keys

    def list(self) -> Response:
        """GET /settings/audit."""
        asked = query()
        until = asked.get("until")
        filters = AuditFilters(
            subject=asked.get("subject") or None,
            actor=asked.get("actor") or None,
            action=asked.get("action") or None,
            since=asked.get("from"),
            until=until + timedelta(days=1) if until else None,
            followers=bool(asked.get("moved") or asked.get("subject")) or asked.get("action") == _MOVE,
        )
        found = self._audit.page(filters, asked.get("cursor"), _ON_A_PAGE)
        same = query_without_cursor()
        further = f"{_HERE}?{same}&cursor={cursor_after(str(found.end))}".replace("?&", "?") if found.end else None
        return page(
            "audit.html",
            entries=[_shown(entry) for entry in found.items],
            asked={name: asked.get(name) for name in _FIELDS},
            actions=WORDS,
            actors=self._actors(asked.get("actor"), found.items),
            filtered=any(asked.get(name) for name in _FIELDS),
            all_moves=filters.followers,
            with_moves=f"{_HERE}?{'&'.join(filter(None, (same, 'moved=yes')))}",
            next=further,
            first=f"{_HERE}?{same}" if "cursor" in asked else None,
        )

    def _actors(self, asked: str | None, entries: Sequence[AuditEntry]) -> Mapping[str, str]:
        """Return the names of whom one can choose, by id: the keys, whoever is on this page, and who was asked for."""
        keys = {key["id"]: key["name"] for key in self._keys.page(None, _MOST_KEYS).items}
        here = {entry["actor"]["id"]: entry["actor"]["name"] for entry in entries}
        known = {**here, **keys}
        return {**({asked: asked} if asked and asked not in known else {}), **known}


def _shown(entry: AuditEntry) -> Mapping[str, Any]:
    subject, kind = entry["subject"], entry["actor"]["kind"]
    room, id_ = _ROOMS.get(subject["type"]), subject["id"]
    followed = _FOLLOWED.get(entry["cause"] or "manual") if subject["type"] == "customer" else None
    return {
        **entry,
        "words": followed or WORDS[entry["action"]],
        "about": "" if entry["erased"] else id_ or "",
        "leads_to": f"{room}{quote(id_, safe='')}" if room and id_ and not entry["erased"] else None,
        "same_subject": f"{_HERE}?{urlencode({'subject': id_})}" if id_ else None,
        "same_actor": f"{_HERE}?{urlencode({'actor': entry['actor']['id']})}",
        "kind": _KINDS.get(kind, kind),
        "changed": [BY_NAME[name].label if name in BY_NAME else name for name in entry["fields"]],
        "data": {name.replace("_", " "): value for name, value in entry["data"].items()},
    }
