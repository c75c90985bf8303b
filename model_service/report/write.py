"""Writing the pictures and the report of a version into its directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson

from model_service.manifest import Manifest
from model_service.report.comparison import compare
from model_service.report.document import Drawn, render
from model_service.report.gallery import PICTURES, Subject
from model_service.report.scored_rows import score_rows
from model_service.report.style import file_content, settings
from model_service.report_files import INDEX_FILE, PLOT_FOLDER, REPORT_FILE
from model_service.training.dataset import TrainingData


def write(folder: Path, manifest: Manifest, data: TrainingData, parent: Manifest | None) -> None:
    """Write ``plots/*.svg``, ``plots/*.png``, ``plots/index.json`` and ``report.html`` into `folder`.

    The same version and data always give the same bytes.

    Parameters
    ----------
    parent : the version whose segments this one continues, if any.
    """
    rows = score_rows(manifest, data)
    subject = Subject(manifest, rows, compare(manifest, rows, parent))
    plots = folder / PLOT_FOLDER
    plots.mkdir()
    with settings():
        drawn = list(_draw_all(subject, plots))
    index = [{"name": d.picture.name, "title": d.picture.title} for d in drawn]
    (plots / INDEX_FILE).write_bytes(orjson.dumps(index, option=orjson.OPT_INDENT_2))
    (folder / REPORT_FILE).write_text(render(subject, drawn, data.notes), encoding="utf-8")


def _draw_all(subject: Subject, plots: Path) -> Iterator[Drawn]:
    for picture in PICTURES:
        figure = picture.draw(subject)
        if figure is None:  # nothing to show: no parent, or no evidence
            continue
        svg = file_content(figure, "svg")
        (plots / f"{picture.name}.svg").write_bytes(svg)
        (plots / f"{picture.name}.png").write_bytes(file_content(figure, "png"))
        yield Drawn(picture, svg)
