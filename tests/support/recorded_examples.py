"""The examples in the OpenAPI document: what of a told story they show, and how it is made the same in every recording.

What differs from run to run has a stand-in. It depends on the member's name, or on the operation that showed the
value first; never on what else the story tells. So two recordings are equal byte for byte, and another endpoint
changes only its own lines.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from support.documented import Call
from tests.conftest import ROOT

EXAMPLES = ROOT / "gateway" / "openapi" / "examples.json"
STALE = "gateway/openapi/examples.json is not what the gateway answers: run `make examples`"
LONGEST = 2
"""Entries of a list, and of an object whose names are data, that an example shows."""
DECIMALS = 6
"""More of a measured figure differs from one processor to the next."""

_BY_FEATURE = {"profile", "ranges", "values"}
_DAY = datetime(2026, 1, 15, 9)
_MINUTES = {"updated_at": 1, "started_at": 1, "finished_at": 2, "completed_at": 2, "old_secret_until": 10}
"""What happens after the rest, by the name of the member with its time."""
_LIBRARIES = {"python": "3.13.9", "scikit-learn": "1.7.2", "numpy": "2.3.5", "pandas": "2.3.3", "joblib": "1.5.2"}
_FIXED = {"next_cursor": "WyIiLCJDMTAwMDIiXQ.ZXhhbXBsZQ", **_LIBRARIES}
"""By the name of the member."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_NAME = re.compile(r"\b\d{8}T\d{6}(\.\d+)?Z-([0-9a-f]+)")  # of a version, an import, a training
_HEX = re.compile(r"(?<![\w.])(?:[0-9a-f]{16}|[0-9a-f]{24}|[0-9a-f]{32}|[0-9a-f]{64})\b")
_KEY = re.compile(r"\b(?:csk_|api_key:)([A-Za-z0-9]{12})(?![A-Za-z0-9])")

Examples = dict[str, dict[str, Any]]
"""By operation: "request", "200" and so on."""


def examples(calls: list[Call]) -> Examples:
    """Return what was sent and answered in each operation's first calls."""
    found: Examples = {}
    for call in calls:
        messages = found.setdefault(call.id, {})
        if _is_shown(call):
            messages.setdefault(str(call.reply.status), _shortened(_in_order(call)))
        if call.request is not None and call.reply.status < 300:
            request = call.request.decode() if isinstance(call.request, bytes) else _shortened(call.request)
            messages.setdefault("request", request)
    shown = {operation: dict(sorted(messages.items())) for operation, messages in sorted(found.items()) if messages}
    stable: Examples = StandIns(calls).of(shown)
    return stable


def _in_order(call: Call) -> Any:
    """Return the body as it is every time, whatever the order of random ids and the moment."""
    body = call.reply.body
    if call.id == "listApiKeys" and call.reply.status == 200:
        body["items"].sort(key=lambda key: str(key["name"]))
    if call.id == "getAssignmentsStatus" and call.reply.status == 200:
        body["relay"] |= {"waiting": 0, "oldest": None}  # something may be on its way just then
    if call.id == "getEventSummary" and call.reply.status == 200:
        # Whether the worker scores anybody between the activation and the rollback differs from run to run.
        body["items"] = [item for item in body["items"] if item["type"] != "assignments.recomputed"]
    return body


def _is_shown(call: Call) -> bool:
    """Whether the answer is JSON, and not one of the documents in which examples stand."""
    return call.reply.media_type in ("application/json", "application/problem+json") and "OpenAPI" not in call.id


def recorded() -> Examples:
    """Return the examples in the document."""
    shown: Examples = orjson.loads(EXAMPLES.read_bytes())
    return shown


def record(found: Examples) -> None:
    """Keep these examples from now on."""
    EXAMPLES.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")


def differences(found: Examples, shown: Examples) -> Iterator[str]:
    """Say where examples have other operations, messages, members or texts; figures depend on the libraries."""
    for operation in sorted({*found, *shown}):
        now, then = found.get(operation, {}), shown.get(operation, {})
        for message in sorted({*now, *then}):
            if message not in then:
                yield f"{operation} {message} is missing"
            elif message not in now:
                yield f"{operation} {message} is not told any more"
            elif changed := sorted(_lines(now[message]) ^ _lines(then[message])):
                yield f"{operation} {message}: {', '.join(changed)}"


def _lines(value: Any, path: str = "") -> set[str]:
    """Return the paths of all members that are there, those of texts with the text; ``#`` for figures in it."""
    if isinstance(value, list):
        return set().union(*(_lines(part, f"{path}[]") for part in value))
    if isinstance(value, dict):
        return set().union(*(_lines(part, f"{path}.{key}") for key, part in value.items()))
    return {f"{path}={re.sub(r'[0-9][0-9.,]*', '#', value)}" if isinstance(value, str) else path}


def _shortened(value: Any, name: str = "") -> Any:
    """Return the value without most of what is only more of the same."""
    if isinstance(value, list):
        return [_shortened(part) for part in value[:LONGEST]]
    if isinstance(value, str) and name == "secret":
        return f"{value[:6]}…"
    if isinstance(value, str) and name == "key":
        return f"{value[:17]}…"  # nobody should have to find out that this one opens nothing
    if not isinstance(value, dict):
        return value
    kept = list(value.items())[:LONGEST] if name in _BY_FEATURE else value.items()
    return {key: _shortened(part, key) for key, part in kept}


class StandIns:
    """Stand-ins for what differs from run to run; the same one wherever the same thing is meant."""

    def __init__(self, calls: list[Call]) -> None:
        texts = [(call.id, call.reply.content.decode()) for call in calls if _is_shown(call)]
        self._began = min(_time(found[0]) for _, text in texts for found in _TIME.finditer(text))
        self._digests: dict[str, str] = {}
        keys = set()
        shown: Counter[str] = Counter()
        for operation, text in texts:
            keys |= {found[1] for found in _KEY.finditer(text)}
            for found in (*_NAME.finditer(text), *_HEX.finditer(text), *_KEY.finditer(text)):
                token = found[found.lastindex or 0]
                if token not in self._digests:
                    self._digests[token] = hashlib.sha256(f"{operation} {shown[operation]}".encode()).hexdigest()
                    shown[operation] += 1
        self._keys = re.compile("|".join(sorted(keys)))

    def of(self, value: Any, name: str = "", beside: Mapping[str, Any] | None = None) -> Any:
        """Return the value with stand-ins; `name` is the member it belongs to, `beside` the object with that."""
        if isinstance(value, list):
            return [self.of(part, name, beside) for part in value]
        if isinstance(value, dict):
            return {key: self.of(part, key, value) for key, part in value.items()}
        if isinstance(value, float):
            return round(value, DECIMALS)
        if not isinstance(value, str):
            return value
        fixed = None if value.isdigit() else _FIXED.get(name)  # a cursor of events is a number
        return fixed or self._text(value, name, beside or {})

    def _text(self, text: str, name: str, beside: Mapping[str, Any]) -> str:
        name = "created_at" if text == beside.get("created_at") else name
        text = _TIME.sub(lambda found: self._moment(found, _MINUTES.get(name, 0)), text)
        text = _NAME.sub(lambda found: f"{_DAY:%Y%m%dT%H%M%S}{_noughts(found[1])}Z-{self._hex(found[2])}", text)
        text = _HEX.sub(lambda found: self._hex(found[0]), text)
        return self._keys.sub(lambda found: _letters(self._digests[found[0]]), text)

    def _moment(self, found: re.Match[str], minutes: int) -> str:
        days = round((_time(found[0]) - self._began) / timedelta(days=1))
        return f"{_DAY + timedelta(days, minutes=minutes):%Y-%m-%dT%H:%M:%S}{_noughts(found[1])}Z"

    def _hex(self, token: str) -> str:
        known = token[:8] if token[:8] in self._digests else token  # a version ends with the digest of its model
        return self._digests[known][: len(token)]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _noughts(fraction: str | None) -> str:
    return re.sub(r"\d", "0", fraction or "")


def _letters(digest: str) -> str:
    """Return what looks like the id of an API key."""
    return base64.b64encode(bytes.fromhex(digest), b"xy").decode()[:12]
