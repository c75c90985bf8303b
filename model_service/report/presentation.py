"""How segments, features and amounts are presented, in pictures and pages alike; loads nothing that draws.

Colour is never alone: each segment also has a marker, a hatch and its name in words, so that pictures can be read in
grey print and by colour-blind people. The colours are those of the pages (gateway/pages/static/style.css, its tones on
a light ground), so that a segment has one colour wherever it is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from model_service.scoring.wording import rule_sentence
from model_service.store.manifest import UTILISATION
from shared import typography
from shared.features import BY_NAME
from shared.money import in_unit, money, unit

COLOURS = ["#0072b2", "#d55e00", "#008a66", "#b0518b", "#5f4b00", "#4b3fa8", "#3f4a56", "#8a3b2e"]
"""By the number of a segment's id."""

_MARKERS = "os^DvP*X<"
_HATCHES = ("", "///", "\\\\\\", "xxx", "---", "|||", "+++")


class SegmentStyle(NamedTuple):
    """How one segment is drawn, everywhere."""

    colour: str
    marker: str
    hatch: str


def segment_styles(ids: Iterable[str]) -> dict[str, SegmentStyle]:
    """Give each segment its style by the number in its permanent id, so that it looks alike in every version.

    Two segments of one model never share a style: of two that would, the one with the later id takes the next free.
    """
    places: dict[str, int] = {}
    ordered = sorted(set(ids))
    for position, identity in enumerate(ordered):
        number = re.search(r"\d+$", identity)
        place = int(number.group()) - 1 if number else position
        taken = {p % len(COLOURS) for p in places.values()} if len(ordered) <= len(COLOURS) else set()
        while place % len(COLOURS) in taken or place in places.values():
            place += 1
        places[identity] = place
    return {identity: _style(place) for identity, place in places.items()}


def _style(place: int) -> SegmentStyle:
    return SegmentStyle(COLOURS[place % len(COLOURS)], _MARKERS[place % len(_MARKERS)], _HATCHES[place % len(_HATCHES)])


LABELS = {UTILISATION: "Share of the limit in use"}


def plain_name(feature: str) -> str:
    """Return what people call a feature, or what is computed from features; an unknown one as it is."""
    return BY_NAME[feature].label if feature in BY_NAME else LABELS.get(feature, feature)


def environment(names: Mapping[str, str], currency: str) -> Environment:
    """Return what templates of reports are rendered by.

    Parameters
    ----------
    names : of the segments, by id.
    """
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= _filters(names, currency)
    return made


def _filters(names: Mapping[str, str], currency: str) -> dict[str, Callable[..., Any]]:
    columns = re.compile(rf"\b({'|'.join(sorted(BY_NAME, key=len, reverse=True))})\b")
    ids = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b(?! \()")
    return {
        **{name: getattr(typography, name) for name in ("number", "fixed", "signed", "percent", "day")},
        "in_unit": lambda value, name: in_unit(value, name, currency),
        "money": lambda value: money(value, currency),
        "rule": lambda rule: rule_sentence(rule, currency),
        "plain_name": plain_name,
        "unit": lambda name: unit(name, currency) if name in BY_NAME else "share of the limit",
        "in_words": lambda text: columns.sub(lambda found: plain_name(found[1]), text),
        "with_names": lambda text: ids.sub(lambda found: f"{found[1]} ({names[found[1]]})", text),
    }
