"""What the report says first: which segments there are, what marks them, and who owes, buys or is in doubt most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from model_service.report.presentation import plain_name
from model_service.store.manifest import UTILISATION, Manifest, StoredSegment
from shared.features import BY_NAME
from shared.money import in_unit, money
from shared.typography import day, number, percent

if TYPE_CHECKING:
    from model_service.report.plots import Subject

MARKED = 0.5
"""Standard deviations from all customers' mean from which on a feature marks a segment."""

MOST_MARKS = 5
"""Most features that are said to mark a segment."""

AMOUNTS = ("BALANCE", "PURCHASES", "CASH_ADVANCE", "CREDIT_LIMIT")
"""What the overview compares the segments by."""


def described_source(manifest: Manifest) -> str:
    """Say whose segments these are: the customers stored in the gateway on a day, or those of a file."""
    source = manifest["data"]
    customers = number(manifest["rows"])
    if "stored_at" in source:
        return f"{customers} stored customers, {day(source['stored_at'])}"
    return f"{customers} customers in {source['name']}"


class Line(NamedTuple):
    """A segment in the overview: its values as they are shown, by feature, and its share of all balances."""

    segment: StoredSegment
    values: dict[str, str]
    balance_share: str
    borderline: str


def overview(subject: Subject) -> list[Line]:
    """Return a line for each segment, in the manifest's order."""
    segments = subject.manifest["segments"]
    lines = []
    for segment, share in zip(segments, shares_of(segments, "BALANCE"), strict=True):
        values = {name: money(segment["profile"][name]["mean"], subject.currency) for name in AMOUNTS}
        values[UTILISATION] = in_unit(segment["profile"][UTILISATION]["median"], UTILISATION)
        unsure = subject.figures["certainty"][segment["id"]]["borderline"]
        lines.append(Line(segment, values, percent(share), percent(unsure)))
    return lines


def shares_of(segments: Sequence[StoredSegment], feature: str) -> list[float]:
    """Return which part of all customers' total each segment has; missing values count as the segment's mean."""
    totals = np.array([segment["size"] * segment["profile"][feature]["mean"] for segment in segments])
    return [float(share) for share in totals / (totals.sum() or 1.0)]


def answers(subject: Subject) -> list[str]:
    """Answer what is asked first: who owes, buys, and takes cash most, and where the model is least sure."""
    segments = subject.manifest["segments"]
    said = leaders(segments, subject.currency, _called)
    found = subject.figures["certainty"]
    unsure = max(segments, key=lambda segment: found[segment["id"]]["borderline"])
    own = found[unsure["id"]]
    if own["borderline"] and own["rival"]:
        rival = next(segment for segment in segments if segment["id"] == own["rival"])
        said.append(
            f"Least certain: {_called(unsure)}. {percent(own['borderline'])} of its customers are borderline, and "
            f"{percent(own['rival_share'], 0)} of these are closest to {_called(rival)}."
        )
    return said


_LEADERS = {
    "BALANCE": ("Owes most: {}, with {} a customer on average.", "of all balances"),
    "PURCHASES": ("Buys most: {}, with {} a customer in 12 months.", "of all purchases"),
    "CASH_ADVANCE": ("Takes most cash: {}, with {} a customer in 12 months.", "of all cash advances"),
}


def leaders(segments: Sequence[StoredSegment], currency: str, called: Callable[[StoredSegment], str]) -> list[str]:
    """Say who owes, buys, and takes cash most."""
    return [_most(segments, feature, currency, called) for feature in _LEADERS]


def _most(
    segments: Sequence[StoredSegment], feature: str, currency: str, called: Callable[[StoredSegment], str]
) -> str:
    """Say whose customers have most of a feature each and, where that is another segment, whose have most together."""
    sentence, whole = _LEADERS[feature]
    shares = shares_of(segments, feature)
    means = [segment["profile"][feature]["mean"] for segment in segments]
    each, together = means.index(max(means)), shares.index(max(shares))
    said = sentence.format(called(segments[each]), money(means[each], currency))
    said += f" It is {percent(segments[each]['share'])} of the customers and has {percent(shares[each])} {whole}."
    if each != together:
        said += f" Together, the customers of {called(segments[together])} have more: {percent(shares[together])}."
    return said


def _called(segment: StoredSegment) -> str:
    return f"{segment['id']} ({segment['name']})"


def marks(segment: StoredSegment, manifest: Manifest, currency: str = "") -> list[str]:
    """Say what marks a segment, the most remarkable first, each with its median and that of all customers.

    Where the two are the same, as for what most customers never do, the segment's mean says what the median hides.
    """
    medians = dict(zip(manifest["features"], manifest["parameters"]["fill"], strict=True))
    profile = segment["profile"]
    order = sorted((name for name in medians if name in profile), key=lambda name: -abs(profile[name]["z"]))
    said = []
    for name in order[:MOST_MARKS]:
        own = profile[name]
        if abs(own["z"]) >= MARKED and name in BY_NAME:
            how = "high" if own["z"] > 0 else "low"
            value, others = (in_unit(v, name, currency) for v in (own["median"], medians[name]))
            middle = f"median {value}, of all customers {others}"
            if value == others:
                value, others = (
                    in_unit(v, name, currency) for v in (own["mean"], mean_of_all(manifest["segments"], name))
                )
                middle = f"mean {value}, of all customers {others}"
            said.append(f"{plain_name(name)}: {how} ({middle})")
    return said or ["Close to the average of all customers in every feature."]


def mean_of_all(segments: Sequence[StoredSegment], feature: str) -> float:
    """Return the mean of a feature over the customers of all segments."""
    sizes = np.array([segment["size"] for segment in segments])
    return float(np.average([segment["profile"][feature]["mean"] for segment in segments], weights=sizes))
