"""How every plot looks: headings, sizes, tables, and files that never differ by chance."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from model_service.report.glyphs import FONT, printable
from model_service.scoring.pipeline import Matrix

FileKind = Literal["svg", "png"]

WIDTH = 7.0
"""Width of every plot in inches: what an A4 page leaves between its margins."""
DPI = 150

INK = "#1a1a1a"
FAINT = "#8a8a8a"
QUIET = "#4d4d4d"

_SETTINGS: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 8.5,
    "axes.unicode_minus": True,
    "figure.titlesize": 10,
    "figure.titleweight": "bold",
    "font.family": FONT,  # comes with matplotlib, so every machine draws the same
    "font.size": 8,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "svg.fonttype": "path",  # a file that needs no font of its reader
    "svg.hashsalt": "customer-segmentation",
    "text.parse_math": False,  # a "$" in a segment's name is a dollar
    "xtick.color": INK,
    "xtick.labelsize": 7,
    "ytick.color": INK,
    "ytick.labelsize": 7,
}


def settings() -> AbstractContextManager[None]:
    """Matplotlib's settings for drawing and saving, in force inside ``with``."""
    return mpl.rc_context(_SETTINGS)


TITLE_HEIGHT, SENTENCE_HEIGHT = 0.25, 0.15
"""What a line of a title takes, and one of the sentence beneath it, in inches."""


class Heading(NamedTuple):
    """What stands above a picture: a title that says what one sees, and a sentence that says how to read it."""

    title: str
    sentence: str = ""


NO_HEADING = Heading("")


def new_figure(height: float, heading: Heading = NO_HEADING) -> Figure:
    """Return an empty page-wide figure, `height` inches high below its heading, that lays itself out."""
    title, sentence = wrap(heading.title, 85), wrap(heading.sentence, 118, lines=4)
    above, beneath = (
        TITLE_HEIGHT * len(title.splitlines()),
        SENTENCE_HEIGHT * len(sentence.splitlines()) + (0.08 if sentence else 0),
    )
    whole = height + above + beneath
    figure = Figure(figsize=(WIDTH, whole), layout="constrained")
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    if sentence:
        figure.text(0.01, 1 - (above + 0.02) / whole, sentence, va="top", fontsize=7.5, color=QUIET, linespacing=1.35)
        figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - beneath / whole)))
    return figure


def wrap(text: str, width: int, lines: int = 3) -> str:
    """Break `text` into at most so many lines of `width` characters; what cannot be drawn becomes a space."""
    return "\n".join(textwrap.wrap(printable(text), width, max_lines=lines, placeholder=" …"))


def bar(axes: Axes, place: float, length: float, height: float, **look: Any) -> None:
    """Draw a horizontal bar, edged; none for nothing."""
    if length:
        axes.barh(place, length, height, edgecolor=INK, linewidth=0.5, **look)


def beside(axes: Axes, x: float, y: float, text: str) -> None:
    """Write `text` to the right of a place."""
    axes.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", fontsize=6.5)


def frame_off(axes: Axes) -> None:
    """Take grid, ticks and spines away: the cells of a table need none."""
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def file_content(figure: Figure, kind: FileKind) -> bytes:
    """Return `figure` as a file of this kind; the same figure always gives the same bytes."""
    buffer = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def heat_map(
    axes: Axes, values: Matrix, texts: Sequence[Sequence[str]], colours: Colormap, limits: tuple[float, float]
) -> QuadMesh:
    """Draw `values` (n_rows, n_columns), the first row on top, with `texts` in the cells.

    Parameters
    ----------
    limits : the values at the two ends of `colours`.
    """
    mesh = axes.pcolormesh(values, cmap=colours, vmin=limits[0], vmax=limits[1], edgecolors="white", linewidth=1)
    axes.invert_yaxis()
    frame_off(axes)
    size = min(7.0, 100 / values.shape[1])
    for (row, column), value in np.ndenumerate(values):
        ink = _readable_on(to_rgb(colours((value - limits[0]) / (limits[1] - limits[0]))))
        axes.text(column + 0.5, row + 0.5, texts[row][column], ha="center", va="center", color=ink, fontsize=size)
    return mesh


def label_cells(axes: Axes, rows: Sequence[str], columns: Sequence[str], *, upright: bool = False) -> None:
    """Name the rows at the left and the columns above; `upright` turns the columns' names."""
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=90 if upright else 0)
    axes.xaxis.tick_top()


def _readable_on(colour: tuple[float, float, float]) -> str:
    """Return dark or light ink, by the relative luminance of the ground (WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return INK if luminance > 0.2 else "white"
