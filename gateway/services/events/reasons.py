"""Why a customer moved from one segment to another: the model service splits the move over what changed in its data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from gateway.services.errors import ModelRefused, ModelServiceError, RegistryRefusal
from gateway.services.events.change import Logged
from gateway.services.models.model import Model, Move
from shared.contract import MoveExplanation
from shared.features import BY_NAME

NoReason = Literal[
    "model_changed",
    "scored_anew",
    "values_not_kept",
    "version_not_kept",
    "segment_not_in_version",
    "version_unusable",
    "model_unavailable",
    "values_refused",
]


class WhyUnavailable(TypedDict):
    """Why it is not said what in a customer's data made it move, by a code and in a sentence.

    ``model_changed``: another version of the model did. ``scored_anew``: it was scored by another version than before.
    ``values_not_kept``: the former values are not kept any more. ``version_not_kept``, ``segment_not_in_version``,
    ``version_unusable``: the version is not stored any more, does not have the segment that the customer left, or
    cannot be used. ``model_unavailable``: the model service did not answer in time; ``values_refused``: it refuses the
    values that the customer had.
    """

    code: NoReason
    detail: str


Why = MoveExplanation | WhyUnavailable


_REFUSALS: Mapping[str, NoReason] = {
    "version_not_found": "version_not_kept",
    "segment_not_found": "segment_not_in_version",
}


class Reasons:
    """Says why some customers moved, as long as the time that they share is not up.

    Parameters
    ----------
    deadline : seconds for all of them.
    """

    def __init__(self, model: Model, deadline: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._model = model
        self._clock = clock
        self._ends_at = clock() + deadline

    def why(self, entry: Logged, older: Iterable[Logged]) -> Why | None:
        """Return why the customer moved; None where the change is no move from one segment to another.

        Parameters
        ----------
        older : the entries of the customer before this one, newest first, as far back as they are needed.
        """
        found = move_of(entry, older)
        return self._explained(found) if isinstance(found, Move) else found

    def _explained(self, move: Move) -> Why:
        left = self._ends_at - self._clock()
        if left <= 0:
            return WhyUnavailable(
                code="model_unavailable", detail="The time was up before the model service was asked."
            )
        try:
            return self._model.explain_move(move, left)
        except RegistryRefusal as error:
            return WhyUnavailable(code=_REFUSALS.get(error.code, "version_unusable"), detail=str(error))
        except ModelRefused as error:
            return WhyUnavailable(code="values_refused", detail=str(error))
        except ModelServiceError as error:
            self._ends_at = self._clock()  # whoever asks after this would wait in vain
            return WhyUnavailable(code="model_unavailable", detail=str(error))


def move_of(entry: Logged, older: Iterable[Logged]) -> Move | WhyUnavailable | None:
    """Return the move that an entry describes, with what changed; why that is not known; or None if it is none.

    A customer that was pending in between has moved from where it was before, by all that changed since.
    """
    part, was = entry.get("segment"), entry.get("data", {}).get("was")
    if part is None or part["to"] is None or part["model_version"] is None:
        return None
    origin = part["from"] or was
    if origin is None or origin == part["to"]:
        return None
    if entry["cause"] not in ("customer_data", "import"):
        return _not_by_data(entry, part["model_version"])
    changes = _changes(entry) if part["from"] else _changes_since(origin, entry, older)
    if changes is None:
        return WhyUnavailable(code="values_not_kept", detail="The values from before the change are not kept any more.")
    return Move(part["model_version"], origin, part["to"], changes)


def _not_by_data(entry: Logged, version: str) -> WhyUnavailable:
    if entry["cause"] in ("model_activated", "rollback"):
        again = " again" if entry["cause"] == "rollback" else ""
        detail = f"Model version {version} became the active one{again}; the customer's data did not change."
        return WhyUnavailable(code="model_changed", detail=detail)
    detail = f"The customer was scored anew, by model version {version}; its data did not change."
    return WhyUnavailable(code="scored_anew", detail=detail)


Changes = dict[str, Sequence[Any]]


def _changes(entry: Logged) -> Changes | None:
    """Return what changed, of the features that there are today; None where that is not kept."""
    if "values" not in entry:
        return None
    return {name: pair for name, pair in entry["values"].items() if name in BY_NAME} or None


def _changes_since(origin: str, entry: Logged, older: Iterable[Logged]) -> Changes | None:
    """Return all that changed since the customer left its segment to be pending; None where that is not all kept."""
    if entry["cause"] == "import":
        return None  # what an import changes of a pending customer is in its digest alone
    pairs: Changes = {}
    for change in older:
        if "fields" in change:
            found = _changes(change)
            if found is None:
                return None
            for name, (before, after) in found.items():
                pairs[name] = [before, pairs[name][1] if name in pairs else after]
        if "segment" in change and change["segment"]["from"] == origin:
            return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]} or None
    return None
