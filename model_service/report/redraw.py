"""``python -m model_service.report.redraw FOLDER FILE [CURRENCY]``: draw a file of a stored version as it is now.

That is with the names and in the currency of now. FOLDER is the version's, FILE ``report.html`` or ``plots/<name>.svg``
or ``.png``. The labels come as JSON on standard input, the file goes to standard output. Serving runs it as a process
of its own, like `comparison_plots`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import orjson

from model_service.report.document import DrawnPlot, render
from model_service.report.plots import PLOTS, PlotSpec, Subject, subject_of
from model_service.report.style import FileKind, file_content, settings
from model_service.store.artefact import (
    FIGURES_FILE,
    INDEX_FILE,
    MANIFEST_FILE,
    PLOT_FOLDER,
    REPORT_FILE,
    parse_manifest,
    read_bytes,
)
from model_service.store.labels import Labels


def redrawn(folder: Path, file: str, labels: Labels, currency: str = "") -> bytes:
    """Return a file of the version in `folder`, with the segments called as `labels` have it."""
    # Without a look at its signature, as plots and reports have none: nothing is scored by them.
    manifest = parse_manifest(folder, read_bytes(folder, MANIFEST_FILE))
    stored = folder / PLOT_FOLDER
    figures = orjson.loads((stored / FIGURES_FILE).read_bytes())
    subject = subject_of(manifest, figures, labels, currency)
    with settings():
        if file == REPORT_FILE:
            return render(subject, list(_plots(subject, stored))).encode()
        name, _, kind = Path(file).name.rpartition(".")
        plot = next(plot for plot in PLOTS if plot.name == name)
        return _drawn(plot, subject, "svg" if kind == "svg" else "png")


def _plots(subject: Subject, stored: Path) -> Iterator[DrawnPlot]:
    """Yield the plots that the version has; those that still are what they were as they are stored."""
    there = {plot["name"] for plot in orjson.loads((stored / INDEX_FILE).read_bytes())}
    changed = subject.figures.get("currency") != subject.currency
    for plot in PLOTS:
        if plot.name in there:
            again = plot.named or changed
            svg = _drawn(plot, subject, "svg") if again else (stored / f"{plot.name}.svg").read_bytes()
            yield DrawnPlot(plot, plot.heading(subject), svg)


def _drawn(plot: PlotSpec, subject: Subject, kind: FileKind) -> bytes:
    figure = plot.figure(subject)
    assert figure is not None, "a plot that was drawn once has what it is drawn from"
    return file_content(figure, kind)


def main(folder: str, file: str, currency: str = "") -> None:
    """Draw the file, and write it to standard output."""
    labels = orjson.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(redrawn(Path(folder), file, labels, currency))


if __name__ == "__main__":
    main(*sys.argv[1:])
