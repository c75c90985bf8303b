"""The plots and the report of a version: written beside the model, and drawn again when segments are renamed.

The report is one HTML file that holds everything it shows. It begins with what the segments are and ends with how they
were made.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from model_service.report.figures import Figures, certainty, compare, on_map, silhouettes
from model_service.report.overview import answers, described_source, marks, overview
from model_service.report.plots import PLOTS, PlotSpec, Subject, subject_of
from model_service.report.presentation import environment
from model_service.report.style import Heading, file_content, settings
from model_service.report.subject import score_rows
from model_service.store.artefact import FIGURES_FILE, INDEX_FILE, PLOT_FOLDER, REPORT_FILE
from model_service.store.labels import name_warning
from model_service.store.manifest import Manifest
from model_service.training.dataset import TrainingData
from shared.model_description import Baseline
from shared.typography import fixed


def write(
    folder: Path,
    manifest: Manifest,
    data: TrainingData,
    parent: Manifest | None,
    note: str = "",
    currency: str = "",
) -> None:
    """Write plots (SVG and PNG), what they are drawn from, their list, and ``report.html`` into `folder`.

    Segments have the names that the rules made: what people call them belongs to no version, may change, and may have
    to be erased. `model_service.report.redraw` puts it in. The same version and data always give the same bytes.

    Parameters
    ----------
    parent : the version whose segments this one continues, if any.
    note : what the person said who started the training.
    currency : of all amounts, a code in ISO 4217 or nothing.
    """
    plots = folder / PLOT_FOLDER
    plots.mkdir()
    rows = score_rows(manifest, data)
    shown = [*(segment["id"] for segment in manifest["segments"]), *manifest["retired"]]
    figures = Figures(
        segments=shown,
        named=[plot.name for plot in PLOTS if plot.named],
        note=note,
        notes=list(data.notes),
        certainty=certainty(manifest, rows),
        map=on_map(rows),
        silhouette=silhouettes(rows),
        comparison=compare(manifest, rows, parent, currency),
        currency=currency,
    )
    subject = subject_of(manifest, figures, {}, currency)
    with settings():
        drawn = list(_draw_all(subject, plots))
    index = [{"name": d.plot.name, "title": d.plot.title, "caption": d.plot.caption} for d in drawn]
    (plots / INDEX_FILE).write_bytes(orjson.dumps(index, option=orjson.OPT_INDENT_2))
    (plots / FIGURES_FILE).write_bytes(orjson.dumps(figures))
    (folder / REPORT_FILE).write_text(render(subject, drawn), encoding="utf-8")


def _draw_all(subject: Subject, plots: Path) -> Iterator[DrawnPlot]:
    for plot in PLOTS:
        figure = plot.figure(subject)
        if figure is None:  # nothing to show: no parent, or no evidence
            continue
        svg = file_content(figure, "svg")
        (plots / f"{plot.name}.svg").write_bytes(svg)
        (plots / f"{plot.name}.png").write_bytes(file_content(figure, "png"))
        yield DrawnPlot(plot, plot.heading(subject), svg)


TEMPLATE = "report.html.jinja"


class DrawnPlot(NamedTuple):
    """A plot, what stands above it, and its SVG file."""

    plot: PlotSpec
    heading: Heading
    svg: bytes

    @property
    def address(self) -> str:
        """The file as a data address: as an image it can run no script, and ids of two files cannot clash."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()


def render(subject: Subject, drawn: Sequence[DrawnPlot]) -> str:
    """Return the report as HTML."""
    manifest = subject.manifest
    names = {segment["id"]: segment["name"] for segment in manifest["segments"]}
    return (
        environment(names, subject.currency)
        .get_template(TEMPLATE)
        .render(
            manifest=manifest,
            source=described_source(manifest),
            note=subject.figures["note"],
            evidence=manifest.get("evidence"),
            comparison=subject.figures["comparison"],
            certainty=subject.figures["certainty"],
            labels=subject.labels,
            warnings={segment["id"]: name_warning(segment, subject.labels) for segment in manifest["segments"]},
            overview=overview(subject),
            answers=answers(subject),
            marks={segment["id"]: marks(segment, manifest, subject.currency) for segment in manifest["segments"]},
            plots={d.plot.name: d for d in drawn},
            notes=subject.figures["notes"],
            limits=limits(manifest),
            glossary=GLOSSARY,
        )
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
        f"Stability ({fixed(chosen['stability_mean'], 2)}) is agreement between models fitted on halves of the same "
        "customers. It says nothing about next month: the data are one cross-section, without time.",
        "Confidence is the chance that a customer keeps its segment if the model is refitted on a similar sample "
        "with the same k. It is not the chance that the segment is true.",
        "There is no outcome in the data: no response, default or revenue. Names and actions follow from rules on "
        "the profiles; the effect of no action has been measured.",
        "Missing values were replaced by the training median to find the segment; profiles leave them out.",
    ]


def _structure(silhouette: float) -> str:
    value = fixed(silhouette, 2)
    if silhouette < NATURAL:
        return (
            f"The segments are cuts through a continuum, not natural islands: the mean silhouette is {value} "
            "(1 would be far apart, 0 touching). Customers near a border differ little from their neighbours across it."
        )
    return f"The segments stand apart in these data: the mean silhouette is {value} (1 far apart, 0 touching)."


def _baseline(baseline: Baseline) -> str:
    b = baseline
    return (
        f"A plain on/off rule ({b['rule']}, {b['cells']} of them with customers) reaches η² {fixed(b['eta2_rule'], 2)} "
        f"against {fixed(b['eta2_model'], 2)} for this model; the two groupings agree with an adjusted Rand index of "
        f"{fixed(b['agreement'], 2)}."
    )
