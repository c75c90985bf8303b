"""Names and marketing actions by rule: the grammar of docs/clustering-study.md, §4.

A name is adjectives and a noun, both read off the segment's mean position (z) on composites of features. The same
profile always gets the same name, and no two segments of one model share one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from shared.contract import Quartiles
from shared.features import DISTANCE_NAMES

THRESHOLD = 0.35
NEW_TENURE = -1.5
FULL_PAYING = 0.5

COMPOSITES = {
    "spend": ("PURCHASES", "PURCHASES_TRX", "PURCHASES_FREQUENCY"),
    "oneoff": ("ONEOFF_PURCHASES", "ONEOFF_PURCHASES_FREQUENCY"),
    "instalment": ("INSTALLMENTS_PURCHASES", "PURCHASES_INSTALLMENTS_FREQUENCY"),
    "cash": ("CASH_ADVANCE", "CASH_ADVANCE_FREQUENCY", "CASH_ADVANCE_TRX"),
    "debt": ("BALANCE", "MINIMUM_PAYMENTS", "BALANCE_FREQUENCY"),
    "repayment": ("PRC_FULL_PAYMENT",),
    "limit": ("CREDIT_LIMIT",),
    "tenure": ("TENURE",),
}

COMPOSITE_LABELS = {
    "spend": "spend",
    "oneoff": "one-off purchases",
    "instalment": "instalment purchases",
    "cash": "cash advances",
    "debt": "debt",
    "repayment": "repayment",
    "limit": "limit",
    "tenure": "tenure",
}
"""What people call the composites, in names and pictures. The debt is what the balance and its traces say is owed."""


class Words(NamedTuple):
    """What customers do who are above the average of all on a composite, and who are below it."""

    more: str
    less: str


COMPOSITE_WORDS = {
    "spend": Words("buy more", "buy less"),
    "oneoff": Words("buy more in one go", "buy less in one go"),
    "instalment": Words("buy more in instalments", "buy less in instalments"),
    "cash": Words("draw more cash on credit", "draw less cash on credit"),
    "debt": Words("owe more", "owe less"),
    "repayment": Words("pay off in full more often", "pay off in full less often"),
    "limit": Words("have higher limits", "have lower limits"),
    "tenure": Words("have been customers for longer", "are newer customers"),
}

Composites = Mapping[str, float]


class _Kind(NamedTuple):
    noun: str
    applies: Callable[[Composites], bool]
    actions: tuple[str, ...]


_T = THRESHOLD
_KINDS = (
    _Kind(
        "cash-advance borrowers",
        lambda z: z["cash"] >= _T and z["spend"] <= -_T,
        (
            "Offer a consolidation loan or balance transfer",
            "Check affordability and warn early",
            "Nudge towards a payment plan",
        ),
    ),
    _Kind(
        "spend-and-cash users",
        lambda z: z["cash"] >= _T and z["spend"] > 0,
        (
            "Offer an instalment plan cheaper than a cash advance",
            "Tie purchase rewards to automatic payment",
            "Raise no limit above 50% utilisation",
        ),
    ),
    _Kind(
        "all-round shoppers",
        lambda z: z["oneoff"] >= _T and z["instalment"] >= _T,
        (
            "Offer tiered rewards or a premium card",
            "Bundle further spending categories",
            "Keep them with perks and insurance",
        ),
    ),
    _Kind(
        "instalment buyers",
        lambda z: z["instalment"] >= _T,
        ("Run a 0% instalment campaign", "Give everyday cashback", "Raise the limit a little where it is earned"),
    ),
    _Kind(
        "one-off shoppers",
        lambda z: z["oneoff"] >= _T,
        ("Offer to split large tickets into instalments", "Give cashback in a second category"),
    ),
    _Kind(
        "occasional cash users",
        lambda z: z["cash"] >= _T,
        ("Explain the cost of cash advances and offer a cheaper instalment plan", "Give cashback on card purchases"),
    ),
    _Kind(
        "dormant customers",
        lambda z: z["spend"] <= -_T,
        (
            "Give cashback on the next 3 purchases",
            "Enrol recurring bills or a mobile wallet",
            "Close the account or lower the limit if still idle after 6 months",
        ),
    ),
    _Kind(
        "light users",
        lambda z: z["spend"] < 0,
        ("Give cashback in an everyday category", "Enrol recurring bills or a mobile wallet"),
    ),
    _Kind(
        "regular shoppers",
        lambda _: True,
        ("Reward the most used category", "Offer a further category at better cashback"),
    ),
)


class Naming(NamedTuple):
    """What the rules say about one segment."""

    name: str
    actions: list[str]


def name_segments(
    profiles: Sequence[Mapping[str, Quartiles]], taken: Sequence[str] = (), features: Collection[str] = DISTANCE_NAMES
) -> list[Naming]:
    """Name every segment of one model by its profile.

    Parameters
    ----------
    profiles : by segment, then by feature.
    features : those of the distance; what does not tell customers apart is no reason for a name.
    taken : names that no segment may get.
    """
    positions = [composites(profile, features) for profile in profiles]
    kinds = [next(kind for kind in _KINDS if kind.applies(z)) for z in positions]
    plain = [
        _sentence([*_adjectives(z, profile), kind.noun])
        for z, profile, kind in zip(positions, profiles, kinds, strict=True)
    ]
    names = _free(_split_equal(plain, positions), taken)
    return [Naming(name, list(kind.actions)) for name, kind in zip(names, kinds, strict=True)]


def composites(profile: Mapping[str, Quartiles], features: Collection[str] = DISTANCE_NAMES) -> dict[str, float]:
    """Return a segment's mean z on each composite of those features that count; 0 where none does."""
    return {composite: _mean_z(profile, names, features) for composite, names in COMPOSITES.items()}


def _mean_z(profile: Mapping[str, Quartiles], names: Sequence[str], features: Collection[str]) -> float:
    known = [profile[name]["z"] for name in names if name in features and name in profile]
    return sum(known) / len(known) if known else 0.0


def _adjectives(z: Composites, profile: Mapping[str, Quartiles]) -> list[str]:
    found = []
    if abs(z["limit"]) >= THRESHOLD:
        found.append("high-limit" if z["limit"] > 0 else "low-limit")
    if z["tenure"] <= NEW_TENURE:
        found.append("new")
    if z["repayment"] >= THRESHOLD:
        # Above the average is not yet full: the stronger word needs half of all months.
        full = profile["PRC_FULL_PAYMENT"]["mean"] >= FULL_PAYING
        found.append("full-paying" if full else "better-repaying")
    elif abs(z["debt"]) >= THRESHOLD:
        found.append("revolving" if z["debt"] > 0 else "low-balance")
    return found


def _sentence(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text[0].upper() + text[1:]


def _split_equal(names: Sequence[str], positions: Sequence[Composites]) -> list[str]:
    """Tell segments of equal name apart by the composite on which they differ most."""
    result = list(names)
    for name in set(names):
        same = [i for i, other in enumerate(names) if other == name]
        if len(same) == 1:
            continue
        by = max(COMPOSITES, key=lambda c: max(positions[i][c] for i in same) - min(positions[i][c] for i in same))
        ranked = sorted(same, key=lambda i: -positions[i][by])
        for rank, i in enumerate(ranked):
            result[i] = f"{name}, {_degree(rank, len(ranked))} {COMPOSITE_LABELS[by]}"
    return result


def _degree(rank: int, count: int) -> str:
    if count == 2:
        return ("higher", "lower")[rank]
    return {0: "highest", count - 1: "lowest"}.get(rank, f"number {rank + 1} in")


def _free(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Number the names that are taken already: "Light users (2)"."""
    used = set(taken)
    result = []
    for name in names:
        free, number = name, 1
        while free in used:
            number += 1
            free = f"{name} ({number})"
        used.add(free)
        result.append(free)
    return result
