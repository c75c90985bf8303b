"""The drawing process: ``python -m model_service.report.draw drift svg`` reads a Drift as JSON and writes a picture.

A process of its own, so that the serving one never loads matplotlib and stays as it is whatever happens to a drawing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import orjson
from matplotlib.figure import Figure

from model_service.report import comparison_plots
from model_service.report.style import file_content, settings

SUBJECTS: dict[str, Callable[[Any], Figure]] = {
    "drift": comparison_plots.drift,
    "transitions": comparison_plots.transitions,
}


def main(subject: str, kind: str) -> None:
    """Draw what standard input describes, and write the picture to standard output."""
    found = orjson.loads(sys.stdin.buffer.read())
    with settings():
        figure = SUBJECTS[subject](found)
        sys.stdout.buffer.write(file_content(figure, "svg" if kind == "svg" else "png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
