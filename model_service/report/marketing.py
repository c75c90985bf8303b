"""The marketing edition of a version's report: a page to begin with and one for each segment, in plain words, to print.

It is made from the manifest alone, so that every version has it; what else is known of a version it says as well.

``python -m model_service.report.marketing FOLDER [CURRENCY]`` writes that of the version in FOLDER to standard output;
the labels come as JSON on standard input. Serving runs it as a process of its own, like the plots; as it loads nothing
that draws, it takes a tenth of the time.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import orjson

from model_service.report.overview import described_source, leaders, mean_of_all, shares_of
from model_service.report.presentation import environment, plain_name, segment_styles
from model_service.scoring.wording import enumerated
from model_service.store.artefact import FIGURES_FILE, MANIFEST_FILE, PLOT_FOLDER, parse_manifest, read_bytes
from model_service.store.labels import Labels, displayed_actions, displayed_name
from model_service.store.manifest import UTILISATION, Manifest, StoredSegment
from model_service.training.naming import COMPOSITE_WORDS, THRESHOLD, composites
from shared.features import BY_NAME
from shared.model_description import Rule
from shared.money import in_unit
from shared.typography import percent

if TYPE_CHECKING:
    from model_service.report.figures import Certainty, Figures

TEMPLATE = "marketing.html.jinja"

MOST_WORDS = 4
"""Most things that are said of who the customers of a segment are."""

KINDS_OF_SPENDING = ("oneoff", "instalment")

MUCH = 1.0
"""Standard deviations from all customers' mean from which on customers do something much more, or much less."""

COMPARED = re.compile(r"\b(more|less|higher|lower|longer|newer)\b")

MOST_MARKS = 7
"""Most features in the picture of what marks a segment off."""

FARTHEST = 2.0
"""Standard deviations from the mean of all customers at which a bar ends."""

MOST_RULES = 2

MONEY = {
    "BALANCE": "of all that is owed",
    "PURCHASES": "of all purchases",
    "CASH_ADVANCE": "of all cash advances",
    "PAYMENTS": "of all payments",
    "CREDIT_LIMIT": "of all credit limits",
}
"""What segments have a part of."""

NOTABLE = 1.2
"""How many times their part of the customers a part of the money must be to be remarkable."""


class Part(NamedTuple):
    """What a segment has of a whole: the mean of a customer, and its share of the sum over all."""

    feature: str
    whole: str
    mean: float
    share: float


class Mark(NamedTuple):
    """A feature in which a segment differs: what its customers have and all have, and how far apart, from -1 to 1."""

    name: str
    own: str
    others: str
    reach: float


@dataclass(frozen=True, slots=True)
class Portrait:
    """What the page of a segment says."""

    segment: StoredSegment
    name: str
    description: str | None
    owner: str | None
    colour: str
    who: str
    parts: list[Part]
    part_title: str
    marks: list[Mark]
    marks_title: str
    rules: list[Rule]
    certainty: Certainty | None
    rival: str


def render(manifest: Manifest, figures: Figures | None, labels: Labels, currency: str) -> str:
    """Return the marketing edition as HTML.

    Parameters
    ----------
    figures : what plots are drawn from, which the first versions lack.
    labels : what people call the segments.
    """
    segments = sorted(manifest["segments"], key=lambda segment: -segment["share"])
    names = {segment["id"]: displayed_name(segment, labels) for segment in segments}
    return (
        environment(names, currency)
        .get_template(TEMPLATE)
        .render(
            version=manifest["version"],
            made=manifest["created_at"],
            source=described_source(manifest),
            portraits=_portraits(manifest, figures, labels, currency),
            leaders=leaders(segments, currency, lambda segment: names[segment["id"]]),
            labels={name: BY_NAME[name].label for name in MONEY},
        )
    )


def _portraits(manifest: Manifest, figures: Figures | None, labels: Labels, currency: str) -> list[Portrait]:
    """Return the portraits, that of the largest segment first."""
    segments = manifest["segments"]
    styles = segment_styles(segment["id"] for segment in segments)
    names = {segment["id"]: displayed_name(segment, labels) for segment in segments}
    shares = {feature: shares_of(segments, feature) for feature in MONEY}
    evidence = manifest.get("evidence")
    told = evidence["segments"] if evidence else {}
    found = []
    for place, segment in enumerate(segments):
        label = labels.get(segment["id"])
        parts = [
            Part(feature, whole, segment["profile"][feature]["mean"], shares[feature][place])
            for feature, whole in MONEY.items()
        ]
        sure = figures["certainty"][segment["id"]] if figures else None
        marks = _marks(segment, segments, currency)
        found.append(
            Portrait(
                segment={**segment, "actions": displayed_actions(segment, labels)},
                name=names[segment["id"]],
                description=label["description"] if label else None,
                owner=label["owner"] if label else None,
                colour=styles[segment["id"]].colour,
                who=who(segment),
                parts=parts,
                part_title=_part_title(segment["share"], parts),
                marks=marks,
                marks_title=f"They differ most in {enumerated([_lower(mark.name) for mark in marks[:2]])}",
                rules=told[segment["id"]]["rules"][:MOST_RULES] if segment["id"] in told else [],
                certainty=sure,
                rival=names.get(sure["rival"] or "", "") if sure else "",
            )
        )
    return sorted(found, key=lambda portrait: -portrait.segment["share"])


def who(segment: StoredSegment) -> str:
    """Say in a sentence how the customers of a segment differ from all customers."""
    positions = composites(segment["profile"])
    notable = {composite: z for composite, z in positions.items() if abs(z) >= THRESHOLD}
    spend = notable.get("spend", 0.0)
    alike = [kind for kind in KINDS_OF_SPENDING if notable.get(kind, 0.0) * spend > 0]
    # Of all purchases and a kind of them, the stronger says enough: who buys less of everything just buys less.
    weaker = ["spend"] if any(abs(notable[kind]) > abs(spend) for kind in alike) else alike
    for composite in weaker:
        del notable[composite]
    order = sorted(notable, key=lambda composite: -abs(notable[composite]))
    if not order:
        return "They are much like all customers."
    told = [_words(composite, notable[composite]) for composite in order[:MOST_WORDS]]
    return f"Compared with all customers, they {enumerated(told)}."


def _words(composite: str, z: float) -> str:
    words = COMPOSITE_WORDS[composite].more if z > 0 else COMPOSITE_WORDS[composite].less
    return COMPARED.sub(r"much \1", words, count=1) if abs(z) >= MUCH else words


def _part_title(share: float, parts: Sequence[Part]) -> str:
    largest = max(parts, key=lambda part: part.share)
    least = min(parts, key=lambda part: part.share)
    customers = f"{percent(share)} of the customers"
    if largest.share >= NOTABLE * share:
        return f"{customers}, but {percent(largest.share)} {largest.whole}"
    if least.share * NOTABLE <= share:
        return f"{customers}, but only {percent(least.share)} {least.whole}"
    return f"{customers}, and about as much of the money"


def _marks(segment: StoredSegment, segments: Sequence[StoredSegment], currency: str) -> list[Mark]:
    """Return the features in which a segment differs most from all customers, the most remarkable first."""
    profile = segment["profile"]
    known = [name for name in profile if name in BY_NAME or name == UTILISATION]
    return [
        Mark(
            name=plain_name(name),
            own=in_unit(profile[name]["mean"], name, currency),
            others=in_unit(mean_of_all(segments, name), name, currency),
            reach=max(-1.0, min(1.0, profile[name]["z"] / FARTHEST)),
        )
        for name in sorted(known, key=lambda name: -abs(profile[name]["z"]))[:MOST_MARKS]
    ]


def _lower(name: str) -> str:
    return f"{name[:1].lower()}{name[1:]}"


def main(folder: str, currency: str = "") -> None:
    """Write the marketing edition of a version to standard output."""
    version, labels = Path(folder), orjson.loads(sys.stdin.buffer.read())
    # Without a look at its signature, as reports have none: nothing is scored by them.
    manifest = parse_manifest(version, read_bytes(version, MANIFEST_FILE))
    kept = version / PLOT_FOLDER / FIGURES_FILE
    figures = orjson.loads(kept.read_bytes()) if kept.exists() else None
    sys.stdout.buffer.write(render(manifest, figures, labels, currency).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
