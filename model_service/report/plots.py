"""The list of a version's plots: which there are, in which order, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from matplotlib.figure import Figure

from model_service.report import choice_plots, comparison_plots, segment_plots, space_plots
from model_service.report.figures import Figures, relabelled
from model_service.report.style import Heading
from model_service.store.labels import Labels, displayed_actions, displayed_name
from model_service.store.manifest import Manifest
from shared.typography import number, percent


@dataclass(frozen=True, slots=True)
class Subject:
    """What the plots and the page of a version are drawn from.

    Attributes
    ----------
    manifest : with the segments called as people call them now.
    labels : what people said of the segments, by id.
    currency : of all amounts, a code in ISO 4217 or nothing.
    """

    manifest: Manifest
    figures: Figures
    labels: Labels
    currency: str = ""


def subject_of(manifest: Manifest, figures: Figures, labels: Labels, currency: str = "") -> Subject:
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
    return Subject(named, figures, labels, currency)


class PlotSpec(NamedTuple):
    """A plot: ``name`` is its file's, ``title`` says what kind of plot it is, ``caption`` how to read it.

    ``named`` says that it shows names of segments, and must be drawn again when one is renamed. ``seen`` says what one
    sees in that of a version, where more can be said than the title.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Subject, Heading], Figure | None]
    named: bool = False
    seen: Callable[[Subject], str] | None = None

    def heading(self, subject: Subject) -> Heading:
        """Return what stands above the picture of a version."""
        return Heading(self.seen(subject) if self.seen else self.title, self.caption)

    def figure(self, subject: Subject) -> Figure | None:
        """Draw the plot of a version under its heading; None where there is nothing to draw it from."""
        return self.draw(subject, self.heading(subject))


def _reliability(subject: Subject, heading: Heading) -> Figure | None:
    evidence = subject.manifest.get("evidence")
    return choice_plots.reliability(evidence["reliability"], heading) if evidence and evidence["reliability"] else None


def _silhouette(subject: Subject, heading: Heading) -> Figure | None:
    found = subject.figures["silhouette"]
    return space_plots.silhouette(subject.manifest["segments"], found, heading) if found else None


def _drift(subject: Subject, heading: Heading) -> Figure | None:
    found = subject.figures["comparison"]
    return comparison_plots.drift(found["drift"], heading) if found and found["drift"] else None


def _transitions(subject: Subject, heading: Heading) -> Figure | None:
    found = subject.figures["comparison"]
    return comparison_plots.transitions(found["preview"], heading) if found else None


def _map(subject: Subject, heading: Heading) -> Figure:
    manifest = subject.manifest
    return space_plots.segment_map(manifest["segments"], manifest["features"], subject.figures["map"], heading)


def _largest(subject: Subject) -> str:
    largest = max(subject.manifest["segments"], key=lambda segment: segment["share"])
    return f"{largest['name']} are the largest segment: {percent(largest['share'])} of the customers"


def _believed(subject: Subject) -> str:
    evidence = subject.manifest.get("evidence")
    error = number(100 * evidence["calibration_error"], 1) if evidence else ""
    return f"Predicted confidence comes true, within {error} percentage points" if evidence else "Confidence"


def _chosen(subject: Subject) -> str:
    ks = [score["k"] for score in subject.manifest["scores"]]
    if len(ks) == 1:
        return f"There are {ks[0]} segments, as somebody asked for"
    return f"Why there are {subject.manifest['k']} segments, of {min(ks)} to {max(ks)} that were tried"


def _moved(subject: Subject) -> str:
    found = subject.figures["comparison"]
    return comparison_plots.transitions_heading(found["preview"]).title if found else ""


def _drifted(subject: Subject) -> str:
    found = subject.figures["comparison"]
    return comparison_plots.drift_heading(found["drift"]).title if found and found["drift"] else ""


PLOTS = (
    PlotSpec(
        "shares",
        "Size of the segments",
        "Each bar is a segment: the longer, the more of the customers belong to it.",
        lambda s, heading: segment_plots.shares(s.manifest["segments"], heading),
        named=True,
        seen=_largest,
    ),
    PlotSpec(
        "profile",
        "What marks the segments off from all customers",
        "Each cell has the average of a segment's customers. Red: more than all customers have; blue: less; the "
        "darker, the further away.",
        lambda s, heading: segment_plots.profile(s.manifest["segments"], s.currency, heading),
        named=True,
    ),
    PlotSpec(
        "composites",
        "Where the names of the segments come from",
        "Each panel is a segment: its marks to the right of the line say of what its customers do more than the "
        "average, those to the left of what they do less. Grey bars span all segments.",
        lambda s, heading: segment_plots.composite_positions(s.manifest["segments"], heading),
        named=True,
    ),
    PlotSpec(
        "map",
        "Who is close on this map behaves alike",
        "Each dot is a customer, each large mark the middle of a segment. The axes are the two directions in which "
        "customers differ most; how they differ otherwise, a flat map cannot show.",
        _map,
        named=True,
    ),
    PlotSpec(
        "amounts",
        "How much money each segment moves",
        "The box is the middle half of a segment's customers: a quarter has less, a quarter more. The stroke is the "
        "customer in the middle. From mark to mark, amounts grow tenfold.",
        lambda s, heading: segment_plots.amounts(s.manifest["segments"], s.currency, heading),
        named=True,
    ),
    PlotSpec(
        "habits",
        "How often each segment does what",
        "The box is the middle half of a segment's customers: a quarter has less, a quarter more. The stroke is the "
        "customer in the middle. Numbers of purchases and advances grow tenfold from mark to mark.",
        lambda s, heading: segment_plots.habits(s.manifest["segments"], s.currency, heading),
        named=True,
    ),
    PlotSpec(
        "transitions",
        "Who goes where, against the version before",
        "Each row is a segment of the version before, each column one of this version, in one order. Who stays is in "
        "the grey cells; the darker a cell is coloured, the more of its row's customers go there.",
        _transitions,
        named=True,
        seen=_moved,
    ),
    PlotSpec(
        "drift",
        "Customers of this training against those of the version before",
        "The further to the right a mark, the more customers have changed in that respect since the version before was "
        "trained; left of the stroke it is chance. Below, the sizes of its segments then and now.",
        _drift,
        named=True,
        seen=_drifted,
    ),
    PlotSpec(
        "silhouette",
        "How clearly the segments stand apart",
        "Every customer's silhouette, sorted within its segment: far to the right are those who are clearly of their "
        "segment; left of zero those who on average are nearer to another segment's members.",
        _silhouette,
        named=True,
    ),
    PlotSpec(
        "reliability",
        "Whether the confidence can be believed",
        "Left, predicted confidence against the share of held-out refits in which customers kept their segment: on the "
        "dashed line both are equal. Right, the difference for each group of customers.",
        _reliability,
        seen=_believed,
    ),
    PlotSpec(
        "elbow",
        "Scores of every number of segments tried",
        "Six scores for each number of segments. The band marks the one chosen, the dashed line the elbow of the "
        "inertia where there is one, the dotted lines what the rule asks for; stability shows the mean and the least.",
        lambda s, heading: choice_plots.elbow(s.manifest, heading),
        seen=_chosen,
    ),
)
