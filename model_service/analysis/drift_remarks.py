"""What drift means, in words and in one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from shared.model_contract import DistanceDrift, FeatureDrift, MixDrift

Verdict = Literal["stable", "watch", "retrain"]

NAMED_CHANGES = 3
"""Most segments whose shares are told."""

INFLATED = 1.1
"""How many times farther than in training customers must lie for it to be told."""
FAR = 0.01
"""The same of the share beyond the distance that 0.1 % of the training customers exceed."""

UNSEEN = (
    "What this cannot see: the index compares whole distributions one by one. A modest change in part of the "
    "customers stays below the limit of chance (as 20 % more cash advances for 30 % of them did on the public data, "
    "with an index below 0.002), and so does a change in how features go together."
)

CHECK_FIRST = (
    "Before retraining, look at how the severely shifted values come in: here a changed unit or a broken feed looks "
    "just like changed customers, and a model trained on it would be wrong."
)


def verdict(features: Sequence[FeatureDrift], mix: MixDrift) -> Verdict:
    """Sum up: retrain when the mix of segments has materially shifted or a feature severely, watch when a feature has.

    A mix that shifted means that the segments' sizes and profiles are no longer those on record, and a feature's
    severe shift that the customers are not those which the segments were made for. A material shift of a feature
    moves few customers (clustering study, section 7: 0.3 to 3 % of them), so that it can wait.
    """
    tiers = {f["tier"] for f in features}
    if mix["tier"] in ("material", "severe") or "severe" in tiers:
        return "retrain"
    return "watch" if "material" in tiers else "stable"


def too_few(rows: int, minimum: int) -> list[str]:
    """Say why there is no verdict."""
    return [f"{rows:,} customers are too few for a verdict: of fewer than {minimum} the index shows mostly chance."]


def remarks(
    features: Sequence[FeatureDrift], changes: Mapping[str, str], mix: MixDrift, distance: DistanceDrift | None
) -> list[str]:
    """Say what has shifted and what to make of it.

    Parameters
    ----------
    changes : by feature, where its distribution changed most.
    """
    return [*_on_features(features, changes), *_on_mix(mix), *_on_distance(distance), UNSEEN]


def _on_features(features: Sequence[FeatureDrift], changes: Mapping[str, str]) -> Iterator[str]:
    for f in features:
        if f["tier"] in ("material", "severe"):
            yield f"{f['feature']} has shifted ({f['tier']}, index {f['psi']:.3f}); {changes[f['feature']]}."
    small = [f["feature"] for f in features if f["tier"] == "detected"]
    if small:
        yield f"More than chance, but too small to matter: {', '.join(small)}."
    if any(f["tier"] == "severe" for f in features):
        yield CHECK_FIRST
    if not any(f["tier"] != "none" for f in features):
        yield f"None of the {len(features)} features differs from training by more than chance."


def _on_mix(mix: MixDrift) -> Iterator[str]:
    if mix["tier"] == "none":
        yield "The mix of segments differs from training by no more than chance."
        return
    training, now = mix["training"], mix["now"]
    order = sorted(training, key=lambda identity: -abs(now[identity] - training[identity]))
    told = ", ".join(f"{i} {training[i]:.1%} → {now[i]:.1%}" for i in order[:NAMED_CHANGES])
    meaning = {"detected": "more than chance, but too little to matter"}.get(mix["tier"], mix["tier"])
    yield f"The mix of segments has shifted ({meaning}, index {mix['psi']:.3f}): {told}."


def _on_distance(distance: DistanceDrift | None) -> Iterator[str]:
    if distance and distance["inflation"] >= INFLATED:
        yield f"Customers lie {distance['inflation']:.2f} times as far from their segment's centre as in training."
    if distance and distance["beyond_limit"] >= FAR:
        yield f"{distance['beyond_limit']:.1%} lie farther from every segment than 99.9 % of those in training."
