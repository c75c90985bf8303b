"""What a segment is like, in words: who is in it, how it differs from others, and what its rules say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.services.models.differences import Difference
from gateway.services.models.segment_snapshots import UTILISATION
from shared.features import BY_NAME
from shared.model_description import Condition
from shared.money import in_unit

SLIGHT, CLEAR, LARGE = 0.2, 0.5, 0.8
"""Cohen's conventions for a standardised mean difference: small, medium and large."""
_MOST_TRAITS: Final = 3


@dataclass(frozen=True, slots=True)
class _Trait:
    """What is said of customers who have more, or less, of a feature; `unit` follows the two values."""

    more: str
    less: str
    unit: str = ""


_TRAITS: Final = {
    "PURCHASES": _Trait("spend more with the card", "spend less with the card", " in 12 months"),
    "ONEOFF_PURCHASES": _Trait("spend more on one-off purchases", "spend less on one-off purchases", " in 12 months"),
    "INSTALLMENTS_PURCHASES": _Trait("buy more in instalments", "buy less in instalments", " in 12 months"),
    "CASH_ADVANCE": _Trait("take more cash in advances", "take less cash in advances", " in 12 months"),
    "BALANCE": _Trait("owe more", "owe less"),
    "PRC_FULL_PAYMENT": _Trait("pay in full more often", "pay in full less often", " of months"),
    "CREDIT_LIMIT": _Trait("have a higher limit", "have a lower limit"),
    "TENURE": _Trait("have been customers for longer", "are newer customers", " months"),
}
"""What a person would tell customers apart by; the other features say the same again."""
_PARTS: Final = {"ONEOFF_PURCHASES", "INSTALLMENTS_PURCHASES"}
_WHOLE: Final = "PURCHASES"


def label(feature: str) -> str:
    """Return what people call a feature, or the share of the limit in use, which profiles have besides."""
    return (
        "Credit limit in use" if feature == UTILISATION else BY_NAME[feature].label if feature in BY_NAME else feature
    )


def meaning(feature: str) -> str:
    """Return in a sentence what a feature tells."""
    if feature == UTILISATION:
        return "How much of the credit limit the customer owes on average."
    return BY_NAME[feature].plain if feature in BY_NAME else ""


def degree(difference: Difference) -> str:
    """Say how much higher or lower the one group is."""
    size = abs(difference.effect)
    if size < SLIGHT:
        return "about the same"
    degrees = ("slightly", "clearly", "much")
    how_much = degrees[(size >= CLEAR) + (size >= LARGE)]
    direction = "higher" if difference.effect > 0 else "lower"
    if not difference.agrees:
        return f"{direction} for most of them, though not on average"
    return f"{how_much} {direction}"


def sentence(difference: Difference, currency: str) -> str:
    """Say a difference with its values: "Cash advances in 12 months: €2,099 against €979 – much higher"."""
    one, other = (in_unit(value, difference.feature, currency) for value in (difference.one, difference.other))
    return f"{label(difference.feature)}: {one} against {other} – {degree(difference)}"


def who_they_are(found: Sequence[Difference], currency: str) -> str:
    """Say in a sentence what tells a group from all customers.

    Parameters
    ----------
    found : its differences from all customers, the largest first.
    """
    chosen = telling(found, _MOST_TRAITS)
    if not chosen:
        return "They are much like the average customer."
    *first, last = (_trait(each, currency) for each in chosen)
    traits = f"{', '.join(first)} and {last}" if first else last
    return f"Compared with the average customer, they {traits}."


def telling(found: Sequence[Difference], most: int) -> list[Difference]:
    """Return the few differences that say most, and nothing twice: purchases are the sum of their two kinds.

    Those that are slight are among them only where there are no clear ones.
    """
    chosen: list[Difference] = []
    for each in found:
        if each.feature not in _TRAITS or abs(each.effect) < SLIGHT or not each.agrees:
            continue
        if not any(_says_it_already(other, each) for other in chosen):
            chosen.append(each)
    clear = [each for each in chosen if abs(each.effect) >= CLEAR]
    return (clear or chosen)[:most]


def differing_most(found: Sequence[Difference], most: int) -> list[Difference]:
    """Return so many differences where there are: those that say most, then others that are clear; largest first."""
    chosen = telling(found, most)
    for each in found:
        clear = each not in chosen and each.agrees and abs(each.effect) >= CLEAR
        if len(chosen) < most and clear and not any(_says_it_already(other, each) for other in chosen):
            chosen.append(each)
    return sorted(chosen, key=lambda each: -abs(each.effect))


def _says_it_already(said: Difference, each: Difference) -> bool:
    kinds = {said.feature, each.feature}
    return _WHOLE in kinds and bool(kinds & _PARTS) and said.effect * each.effect > 0


def _trait(difference: Difference, currency: str) -> str:
    trait = _TRAITS[difference.feature]
    one, other = (in_unit(value, difference.feature, currency) for value in (difference.one, difference.other))
    return f"{trait.more if difference.effect > 0 else trait.less} ({one} instead of {other}{trait.unit})"


def rule_words(conditions: Sequence[Condition], currency: str) -> list[str]:
    """Say each condition of a rule: "Purchases in 12 months at most €4.60"; the two ends of a range in one."""
    bounds: dict[str, str] = {}
    for each in conditions:
        name, value = each["feature"], in_unit(each["value"], each["feature"], currency)
        bound = f"{'above' if each['operator'] == '>' else 'at most'} {value}"
        bounds[name] = f"{bounds[name]} and {bound}" if name in bounds else bound
    return [f"{label(name)} {bound}" for name, bound in bounds.items()]
