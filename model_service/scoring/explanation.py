"""Why a customer is in its segment and not in the rival, in numbers and in a sentence, and what would change that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from model_service.scoring.counterfactual import Changes, CounterfactualSearch
from model_service.scoring.feature_space import FeatureSpace
from model_service.scoring.pipeline import Clusters, CompiledScorer, Matrix
from model_service.scoring.wording import enumerated, exact, reasons, rough, shown
from shared.contract import Change, Contribution, Counterfactual, Explanation, Prediction, SegmentRef
from shared.features import DISTANCE, DISTANCE_NAMES

_WHOLE_DICTIONARY = FeatureSpace.of(DISTANCE_NAMES)


class Explainer:
    """Explains predictions of one model.

    Parameters
    ----------
    scorer : of the model.
    low, high : the training ranges, in each feature's unit, shape (n_features,).
    space : which features count; all unless given.
    currency : of the amounts in sentences, a code in ISO 4217; none unless given.
    """

    def __init__(
        self,
        scorer: CompiledScorer,
        low: Matrix,
        high: Matrix,
        space: FeatureSpace = _WHOLE_DICTIONARY,
        currency: str = "",
    ) -> None:
        self._scorer = scorer
        self._left_out = {DISTANCE_NAMES[f] for f in np.flatnonzero(~space.counts).tolist()}
        self._removed = space.removed
        self._currency = currency
        self._search = CounterfactualSearch(scorer, low, high)

    def explain(
        self, rows: Matrix, own: Clusters, rival: Clusters, predictions: Sequence[Prediction]
    ) -> list[Explanation]:
        """Explain what was predicted for `rows`.

        Parameters
        ----------
        rows : shape (n, n_features), in the features' units, NaN for missing.
        own, rival : clusters of the predicted segments and of their rivals, shape (n,).
        predictions : of length n.
        """
        contributions = self._scorer.contributions(rows, own, rival)
        used = np.where(np.isnan(rows), self._scorer.parameters.fill, rows)
        cases = map(_Case, predictions, rows.tolist(), used.tolist(), contributions.tolist(), repeat(self._currency))
        found = list(map(_Case.explanation, cases, self._search.find(rows, own, rival)))
        if self._left_out or self._removed:
            unseen = self._scorer.unseen_contributions(own, rival).tolist()
            for explanation, contributions_of_removed in zip(found, unseen, strict=True):
                self._complete(explanation, contributions_of_removed)
        return found

    def _complete(self, explanation: Explanation, removed: Sequence[float]) -> None:
        """Say which features do not count, and add what the model makes of those that no customer has any more."""
        for contribution in explanation["contributions"]:
            if contribution["feature"] in self._left_out:
                contribution["left_out"] = True
        for name, value in zip(self._removed, removed, strict=True):
            added = Contribution(feature=name, value=None, unit="", contribution=value)
            explanation["contributions"].append(added)
        explanation["contributions"].sort(key=lambda c: -abs(c["contribution"]))
        explanation["gap"] += sum(removed)


@dataclass(frozen=True, slots=True)
class _Case:
    """One prediction with the customer's values, those the model used, and the contributions; by feature."""

    prediction: Prediction
    values: list[float]
    used: list[float]
    contributions: list[float]
    currency: str

    def explanation(self, changes: Changes | None) -> Explanation:
        rival = self.prediction["rival"]
        assert rival is not None, "a model has at least two segments"
        order = sorted(range(len(DISTANCE)), key=lambda f: -abs(self.contributions[f]))
        return {
            "gap": sum(self.contributions),
            "contributions": [self._contribution(f) for f in order],
            "sentence": self._reasons(rival, order),
            "counterfactual": None if changes is None else self._counterfactual(rival, changes),
        }

    def _contribution(self, f: int) -> Contribution:
        return {
            "feature": DISTANCE[f].name,
            "value": None if self._missing(f) else self.values[f],
            "unit": DISTANCE[f].unit,
            "contribution": self.contributions[f],
        }

    def _missing(self, f: int) -> bool:
        return self.values[f] != self.values[f]

    def _reasons(self, rival: SegmentRef, order: list[int]) -> str:
        """Say in a sentence what speaks for the own segment and what for the rival, most important first."""
        only_just = "Only just in" if self.prediction["borderline"] else "In"
        sentence = f"{only_just} {self.prediction['segment']['name']} rather than {rival['name']}"
        return reasons(sentence, self.contributions, order, self._clause)

    def _clause(self, f: int) -> str:
        value = rough(DISTANCE[f], self.used[f], self.currency)
        return DISTANCE[f].clause.format(shown(value, missing=self._missing(f)))

    def _counterfactual(self, rival: SegmentRef, changes: Changes) -> Counterfactual:
        clauses = [self._changed_clause(f, value) for f, value in changes.items()]
        return {
            "segment": rival,
            "changes": [self._change(f, value) for f, value in changes.items()],
            "sentence": f"The customer would move to {rival['name']} if {enumerated(clauses)}.",
        }

    def _change(self, f: int, changed: float) -> Change:
        return {"feature": DISTANCE[f].name, "unit": DISTANCE[f].unit, "value": self.used[f], "changed": changed}

    def _changed_clause(self, f: int, changed: float) -> str:
        now, then = (exact(DISTANCE[f], value, self.currency) for value in (self.used[f], changed))
        return DISTANCE[f].clause.format(f"{then} instead of {shown(now, missing=self._missing(f))}")
