"""Which texts the font of the pictures can draw, and what stands for those that it cannot.

Every machine draws with the font that comes with matplotlib, so that a plot is the same everywhere. It has no Chinese,
Japanese, Korean, Indic or Thai letters and few emoji: a name in those would be a row of boxes. It has Hebrew and Arabic
letters, but only the newest matplotlib joins them and sets them from right to left. Of a segment with such a name the
picture shows the id alone; the page of the report, which a browser draws, has the name.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

FONT = "DejaVu Sans"

_LEFT_TO_RIGHT = frozenset({"L", "EN", "ES", "ET", "AN", "CS", "ON", "WS", "BN", "NSM"})
"""Unicode's bidirectional classes of characters that can stand in a line from left to right."""


@lru_cache(maxsize=1)
def _known() -> frozenset[int]:
    font: FT2Font = font_manager.get_font(font_manager.findfont(FONT))
    return frozenset(font.get_charmap())


def _has_glyph(character: str) -> bool:
    return (
        ord(character) in _known()
        and character.isprintable()
        and unicodedata.bidirectional(character) in _LEFT_TO_RIGHT
        and not unicodedata.combining(character)
    )


def drawable(text: str) -> bool:
    """Whether the font has every character of `text`, each in a form of its own."""
    return all(map(_has_glyph, unicodedata.normalize("NFC", text)))


def printable(text: str) -> str:
    """Return `text` with a blank for every character that cannot be drawn."""
    return "".join(c if _has_glyph(c) else " " for c in unicodedata.normalize("NFC", text))


def named(identity: str, name: str) -> str:
    """Return how a picture calls a segment: its id and, if it can be drawn, its name."""
    return f"{identity} {name}".strip() if drawable(name) else identity
