"""How two groups of customers differ: two segments, or one and all customers, feature by feature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.services.models.segments import SegmentNow
from shared.contract import Quartiles


@dataclass(frozen=True, slots=True)
class Centre:
    """Where a group lies on a feature: its mean, in the feature's unit, and ``z`` as in `Quartiles`."""

    mean: float
    z: float


Centres = Mapping[str, Centre]


@dataclass(frozen=True, slots=True)
class Difference:
    """How one group differs from another on a feature.

    Attributes
    ----------
    one, other : the two means, in the feature's unit.
    effect : the standardised mean difference: how many standard deviations of all customers the one group's mean lies
        above the other's, of logarithms, the scale on which the model compares customers.
    """

    feature: str
    one: float
    other: float
    effect: float

    @property
    def agrees(self) -> bool:
        """Whether the plain means say the same; a few large amounts can pull the mean of a group the other way."""
        return (self.one - self.other) * self.effect > 0


def centres(profile: Mapping[str, Quartiles]) -> Centres:
    """Return where a segment lies."""
    return {name: Centre(each["mean"], each["z"]) for name, each in profile.items()}


def centres_of_all(segments: Iterable[SegmentNow]) -> Centres:
    """Return where all training customers lie: every segment counts as often as it has customers there."""
    totals: dict[str, float] = {}
    weights: dict[str, int] = {}
    for segment in segments:
        for name, each in segment["profile"].items():
            totals[name] = totals.get(name, 0.0) + each["mean"] * segment["training_size"]
            weights[name] = weights.get(name, 0) + segment["training_size"]
    # Deviations are from the mean of all, so that all customers lie at 0.
    return {name: Centre(total / weights[name], 0.0) for name, total in totals.items() if weights[name]}


def differences(one: Centres, other: Centres) -> list[Difference]:
    """Return on what two groups differ, the largest effect first."""
    found = [
        Difference(name, one[name].mean, other[name].mean, one[name].z - other[name].z) for name in one if name in other
    ]
    return sorted(found, key=lambda each: -abs(each.effect))
