"""The report of a version: one HTML file that holds everything it shows, written beside the plots."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from model_service.report.plots import PLOTS, PlotSpec, Subject
from model_service.report.style import file_content, settings
from model_service.report.subject import compare, score_rows
from model_service.store.artefact import INDEX_FILE, PLOT_FOLDER, REPORT_FILE
from model_service.store.manifest import Manifest
from model_service.training.dataset import TrainingData
from shared.features import BY_NAME, Kind
from shared.model_description import Baseline


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
    index = [{"name": d.plot.name, "title": d.plot.title} for d in drawn]
    (plots / INDEX_FILE).write_bytes(orjson.dumps(index, option=orjson.OPT_INDENT_2))
    (folder / REPORT_FILE).write_text(render(subject, drawn, data.notes), encoding="utf-8")


def _draw_all(subject: Subject, plots: Path) -> Iterator[DrawnPlot]:
    for plot in PLOTS:
        figure = plot.draw(subject)
        if figure is None:  # nothing to show: no parent, or no evidence
            continue
        svg = file_content(figure, "svg")
        (plots / f"{plot.name}.svg").write_bytes(svg)
        (plots / f"{plot.name}.png").write_bytes(file_content(figure, "png"))
        yield DrawnPlot(plot, svg)


TEMPLATE = "report.html.jinja"


class DrawnPlot(NamedTuple):
    """A plot and its SVG file."""

    plot: PlotSpec
    svg: bytes

    @property
    def address(self) -> str:
        """The file as a data address: as an image it can run no script, and ids of two files cannot clash."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()


def render(subject: Subject, drawn: Sequence[DrawnPlot], notes: Sequence[str]) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    notes : what was left out of the training data, in words.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"in_unit": in_unit, "unit": unit}
    manifest = subject.manifest
    return environment.get_template(TEMPLATE).render(
        manifest=manifest,
        evidence=manifest.get("evidence"),
        comparison=subject.comparison,
        plots={d.plot.name: d for d in drawn},
        notes=notes,
        limits=limits(manifest),
        glossary=GLOSSARY,
    )


NATURAL = 0.5
"""Silhouette from which clusters count as really apart (Kaufman and Rousseeuw 1990: below, the structure is weak)."""

GLOSSARY = {
    "Segment": "A group of customers with similar behaviour, found by K-Means. Its id is permanent: it is kept when a "
    "retrained model has a segment close enough to it, and never given to another.",
    "Share": "Part of the training customers that belong to the segment.",
    "z": "How many standard deviations the segment's mean lies from the mean of all customers, both of log1p values.",
    "log1p": "The logarithm of one plus the value: it makes the difference between 10 and 20 weigh about as much as "
    "that between 1,000 and 2,000.",
    "Inertia": "Sum of the squared distances of all customers to their centroid; it always falls as k grows.",
    "Elbow": "The k after which the inertia falls more slowly, found by the Kneedle method.",
    "Stability (ARI)": "Adjusted Rand index between two models fitted on disjoint halves of the customers, over "
    "all customers: 1 if they agree on everybody, about 0 if only by chance. Mean and minimum of several splits.",
    "Silhouette": "How much nearer a customer is to its own segment's members than to those of the next one: "
    "1 far apart, 0 between both, below 0 nearer to the other.",
    "Davies–Bouldin": "Width of the segments against the distance between them; lower is better.",
    "Calinski–Harabasz": "Spread between the segments against the spread inside them; higher is better.",
    "Confidence": "Calibrated probability that a customer keeps its segment if the model is refitted on a similar "
    "sample. It is not the probability that the segment is true.",
    "Borderline": "A customer whose confidence is below 0.9; its rival is the segment with the next nearest centroid.",
    "Distance": "Euclidean distance to the segment's centroid in the standardised log1p space.",
    "Precision, coverage": "Of the customers whom a rule covers, the share that belongs to the segment; and of the "
    "segment's customers, the share that the rule covers.",
    "Fidelity": "Share of customers, held out from it, whom the rule sheet's tree puts into the model's segment.",
    "η² (eta squared)": "Share of the variance of the key figures' ranks that lies between groups, 0 to 1.",
    "PSI": "Population stability index: how much a distribution differs from that in training; 0 not at all.",
}


def limits(manifest: Manifest) -> list[str]:
    """Say in sentences what this model does not show."""
    chosen = next(score for score in manifest["scores"] if score["k"] == manifest["k"])
    said = [_structure(chosen["silhouette"])]
    evidence = manifest.get("evidence")
    if evidence:
        said.append(_baseline(evidence["baseline"]))
    return [
        *said,
        f"Stability ({chosen['stability_mean']:.2f}) is agreement between models fitted on halves of the same "
        "customers. It says nothing about next month: the data are one cross-section, without time.",
        "Confidence is the chance that a customer keeps its segment if the model is refitted on a similar sample "
        "with the same k. It is not the chance that the segment is true.",
        "There is no outcome in the data: no response, default or revenue. Names and actions follow from rules on "
        "the profiles; the effect of no action has been measured.",
        "Missing values were replaced by the training median to find the segment; profiles leave them out.",
    ]


def _structure(silhouette: float) -> str:
    if silhouette < NATURAL:
        return (
            f"The segments are cuts through a continuum, not natural islands: the mean silhouette is {silhouette:.2f} "
            "(1 would be far apart, 0 touching). Customers near a border differ little from their neighbours across it."
        )
    return f"The segments stand apart in these data: the mean silhouette is {silhouette:.2f} (1 far apart, 0 touching)."


def _baseline(baseline: Baseline) -> str:
    b = baseline
    return (
        f"A plain on/off rule ({b['rule']}, {b['cells']} of them with customers) reaches η² {b['eta2_rule']:.2f} "
        f"against {b['eta2_model']:.2f} for this model; the two groupings agree with an adjusted Rand index of "
        f"{b['agreement']:.2f}."
    )


def in_unit(value: float | None, feature: str) -> str:
    """Write a value of a feature (or of utilisation) as a person would."""
    if value is None:
        return "missing"
    kind = BY_NAME[feature].kind if feature in BY_NAME else Kind.FREQUENCY
    if kind is Kind.FREQUENCY:
        return f"{value:.2f}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.1f}"


def unit(feature: str) -> str:
    """Return the unit of a feature or of utilisation."""
    return BY_NAME[feature].unit if feature in BY_NAME else "share of the limit"
