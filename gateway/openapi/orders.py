"""What the model service takes as a decision about a model or a segment.

It judges these bodies and the gateway passes them on, so that its own schemas are the source; a test compares both.
"""

from __future__ import annotations

from typing import Any

from gateway.openapi.operation import Named


def _text(text: str, most: int, **more: Any) -> dict[str, Any]:
    return {"type": "string", "maxLength": most, "description": text, **more}


def _clearable(text: str, most: int) -> dict[str, Any]:
    return {"type": ["string", "null"], "minLength": 1, "maxLength": most, "description": text}


def _order(title: str, text: str, rules: dict[str, Any], /, **members: dict[str, Any]) -> Named:
    schema = {"type": "object", "additionalProperties": False, "description": text, "properties": members}
    return Named(title, schema | rules)


_REASON, _BY = _text("Why", 1_000, default=""), _text("Who", 200, default="unknown")

ROLLBACK = _order("Rollback", "Why, and who", {}, reason=_REASON, by=_BY)
ACTIVATE = _order(
    "ActivationOrder",
    "Why, who, and whether to overrule the gate",
    {
        "if": {"required": ["force"], "properties": {"force": {"const": True}}},
        "then": {"required": ["reason"], "properties": {"reason": {"pattern": r"\S"}}},
    },
    reason=_REASON,
    by=_BY,
    force={
        "type": "boolean",
        "default": False,
        "description": "Activate it even if the gate refuses; needs a reason",
    },
)
LABEL = _order(
    "SegmentLabel",
    "What people say of a segment; null clears",
    {},
    name=_clearable("What the segment is called; one line with a letter or digit in it", 80),
    description=_clearable("What it is", 2_000),
    owner=_clearable("Who looks after it", 200),
    by=_BY,
)
