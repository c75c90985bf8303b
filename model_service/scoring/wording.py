"""How reasons, rules and values are put into words, in the customer's own units and the bank's currency."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from model_service.scoring.counterfactual import DECIMALS
from shared.features import BY_NAME, Feature, Kind
from shared.model_description import Rule
from shared.money import in_unit, money
from shared.typography import WHOLE_FROM, number, percent

FOR, AGAINST = 3, 2
"""Most features that a sentence names for the own segment and for the rival."""

NOTABLE = 0.1
"""Share of the largest contribution from which on a sentence names a feature."""

_MOST_DECIMALS = 15


def reasons(sentence: str, contributions: Sequence[float], order: Sequence[int], clause: Callable[[int], str]) -> str:
    """End a sentence with what speaks for it (positive contributions) and what against it, most important first.

    Parameters
    ----------
    order : places in `contributions`, the largest absolute value first.
    clause : returns how a sentence gives what is at a place.
    """
    notable = [f for f in order if abs(contributions[f]) >= NOTABLE * abs(contributions[order[0]])]
    speaking_for = [clause(f) for f in notable if contributions[f] > 0][:FOR]
    against = [clause(f) for f in notable if contributions[f] < 0][:AGAINST]
    sentence += f", mainly because {enumerated(speaking_for)}" if speaking_for else ""
    return sentence + (f"; on the other hand, {enumerated(against)}." if against else ".")


def shown(value: str, *, missing: bool) -> str:
    """Return a value as it is said, where a missing one was taken as this."""
    return f"unknown (taken as {value})" if missing else value


def rough(feature: Feature, value: float, currency: str) -> str:
    """Write a value as one would say it: whole percents, no cents from 100 on."""
    if feature.kind is Kind.FREQUENCY:
        return _written(feature, value, 0, currency)
    return _written(feature, value, 0 if feature.whole or value >= WHOLE_FROM else 2, currency)


def exact(feature: Feature, value: float, currency: str) -> str:
    """Write a value to the precision of changes."""
    return _written(feature, value, _decimals(feature), currency)


def told_apart(feature: Feature, one: float, other: float, currency: str) -> tuple[str, str]:
    """Write two values to the precision of changes, or to as many more digits as it takes to tell them apart."""
    for decimals in range(_decimals(feature), _MOST_DECIMALS):
        texts = _written(feature, one, decimals, currency), _written(feature, other, decimals, currency)
        if texts[0] != texts[1]:
            return texts
    return exact(feature, one, currency), exact(feature, other, currency)


def enumerated(clauses: Sequence[str]) -> str:
    """Write a list as people do: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(clauses[:-1]), clauses[-1]]))


def rule_sentence(rule: Rule, currency: str = "") -> str:
    """Say which customers a rule is about, how many of them are in the segment, and how much of it they are."""
    texts: dict[str, str] = {}
    for c in rule["conditions"]:
        name, value = c["feature"], in_unit(c["value"], c["feature"], currency)
        bound = f"{'above' if c['operator'] == '>' else 'at most'} {value}"
        texts[name] = f"{texts[name]} up to {value}" if name in texts else bound
    told = enumerated([f"{BY_NAME[name].called if name in BY_NAME else name} {text}" for name, text in texts.items()])
    inside, part = percent(rule["precision"], 0), percent(rule["coverage"], 0)
    return f"{told[0].upper()}{told[1:]}: {inside} of these customers are in the segment, and they make up {part} of it"


def _decimals(feature: Feature) -> int:
    return DECIMALS[feature.kind] - (2 if feature.kind is Kind.FREQUENCY else 0)


def _written(feature: Feature, value: float, decimals: int, currency: str) -> str:
    if feature.kind is Kind.AMOUNT:
        return money(value, currency, decimals)
    if feature.kind is Kind.FREQUENCY:
        return f"{number(100 * value, decimals)}%"
    unit = {Kind.MONTHS: " month" if value == 1 else " months"}.get(feature.kind, "")
    return f"{number(value, decimals)}{unit}"
