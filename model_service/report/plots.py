"""The list of a version's plots: which there are, in which order, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from matplotlib.figure import Figure

from model_service.report import choice_plots, comparison_plots, segment_plots, space_plots
from model_service.report.figures import Figures, relabelled
from model_service.report.subject import ScoredRows
from model_service.store.labels import Labels, displayed_actions, displayed_name
from model_service.store.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Subject:
    """What the plots and the page of a version are drawn from.

    Attributes
    ----------
    manifest : with the segments called as people call them now.
    labels : what people said of the segments, by id.
    rows : the training customers; None when a version is drawn again, long after they were deleted.
    """

    manifest: Manifest
    figures: Figures
    labels: Labels
    rows: ScoredRows | None = None


def subject_of(manifest: Manifest, figures: Figures, labels: Labels, rows: ScoredRows | None = None) -> Subject:
    """Return what is drawn of a version whose segments have `labels`."""
    named = manifest.copy()
    named["segments"] = [
        {**segment, "name": displayed_name(segment, labels), "actions": displayed_actions(segment, labels)}
        for segment in manifest["segments"]
    ]
    comparison = figures["comparison"]
    if comparison:
        figures = figures.copy()
        figures["comparison"] = relabelled(comparison, labels)
    return Subject(named, figures, labels, rows)


class PlotSpec(NamedTuple):
    """A plot: ``name`` is its file's, ``title`` stands in it, ``caption`` says how to read it.

    ``named`` says that it shows names of segments, and must be drawn again when one is renamed.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Subject, str], Figure | None]
    named: bool = False


def _reliability(subject: Subject, title: str) -> Figure | None:
    evidence = subject.manifest.get("evidence")
    return choice_plots.reliability(evidence["reliability"], title) if evidence and evidence["reliability"] else None


def _silhouette(subject: Subject, title: str) -> Figure | None:
    found = subject.figures["silhouette"]
    return space_plots.silhouette(subject.manifest["segments"], found, title) if found else None


def _drift(subject: Subject, title: str) -> Figure | None:
    found = subject.figures["comparison"]
    return comparison_plots.drift(found["drift"], title) if found and found["drift"] else None


def _transitions(subject: Subject, title: str) -> Figure | None:
    found = subject.figures["comparison"]
    return comparison_plots.transitions(found["preview"], title) if found else None


def _map(subject: Subject, title: str) -> Figure:
    manifest = subject.manifest
    return space_plots.segment_map(manifest["segments"], manifest["features"], subject.figures["map"], title)


PLOTS = (
    PlotSpec(
        "shares",
        "Size of the segments",
        "Share of the training customers in each segment, with their number.",
        lambda s, title: segment_plots.shares(s.manifest["segments"], title),
        named=True,
    ),
    PlotSpec(
        "profile",
        "What marks the segments",
        "How far each segment's mean lies from the mean of all customers, in standard deviations of the log1p values "
        "on which the model compares customers. Red is above, blue below; the number says by how much.",
        lambda s, title: segment_plots.profile(s.manifest["segments"], title),
        named=True,
    ),
    PlotSpec(
        "composites",
        "Positions that make the names",
        "Each panel shows one segment on the composites of features from which its name is made; the grey bars span "
        "all segments.",
        lambda s, title: segment_plots.composite_positions(s.manifest["segments"], title),
        named=True,
    ),
    PlotSpec(
        "map",
        "Map of the customers",
        "Customers on the two directions in which they differ most (principal components of the standardised log1p "
        "values); large marks are the segments' centroids. Two directions hide what lies in the others.",
        _map,
        named=True,
    ),
    PlotSpec(
        "amounts",
        "Amounts by segment",
        "Distributions in currency units on the log1p scale of the model: the stroke is the median, the widest box "
        "holds half of the customers, each narrower pair half of those beyond.",
        lambda s, title: segment_plots.amounts(s.rows, title) if s.rows else None,
    ),
    PlotSpec(
        "habits",
        "Habits by segment",
        "The same for frequencies, numbers of transactions (log1p scale), months as a customer and the share of the "
        "limit in use.",
        lambda s, title: segment_plots.habits(s.rows, title) if s.rows else None,
    ),
    PlotSpec(
        "transitions",
        "Who goes where, against the version before",
        "Training customers by the segment that the version before puts them in (rows) and by that of this version "
        "(columns), in one order. Grey on the diagonal are those who stay; the colour says where the others go.",
        _transitions,
        named=True,
    ),
    PlotSpec(
        "drift",
        "Customers of this training against those of the version before",
        "Population stability index of each feature between the two trainings, and the mix of the segments of the "
        "version before.",
        _drift,
        named=True,
    ),
    PlotSpec(
        "silhouette",
        "How clearly the segments stand apart",
        "Every customer's silhouette, sorted within its segment. The bands are equally high whatever the segment's "
        "size. Below zero a customer lies on average nearer to another segment's members.",
        _silhouette,
        named=True,
    ),
    PlotSpec(
        "reliability",
        "Whether the confidence can be believed",
        "Left, predicted confidence against the share of held-out refits in which customers kept their segment; "
        "on the dashed line both are equal. Right, the difference for each bin with its number of customers.",
        _reliability,
    ),
    PlotSpec(
        "elbow",
        "Scores of every k tried",
        "Six scores for each number of segments. The band marks the k chosen, the dashed line the elbow of the "
        "inertia where there is one, the dotted lines what the rule asks for. Stability shows the mean and, below "
        "it, the least of the half splits.",
        lambda s, title: choice_plots.elbow(s.manifest, title),
    ),
)
