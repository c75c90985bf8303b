"""A table of coloured cells with a number in each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, to_rgb

from model_service.pipeline import Matrix
from model_service.report.style import INK, frame_off


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
