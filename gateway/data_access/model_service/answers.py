"""What the model service answers, decoded and checked in one go against the wire contract's own types.

Members beyond those declared are allowed and left out, so that the model service may learn to say more.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Container, Sequence
from functools import cache
from typing import Any, NotRequired, TypedDict, TypeVar

import msgspec
from msgspec.json import Decoder

from gateway.services.errors import (
    ModelAccessDenied,
    ModelMalformed,
    ModelRefused,
    ModelUnavailable,
    RegistryRefusal,
    SegmentationError,
)
from gateway.services.models.model import ModelStatus
from shared.contract import ColumnarAnswer, MoveExplanation, Prediction, RowError
from shared.model_contract import REFUSALS
from shared.problems import Problem

Answer = TypeVar("Answer")
_Text = bytes | msgspec.Raw

_LONGEST = 128
"""Characters of an id or a version: they are stored with every customer."""


class _Batch(TypedDict):
    predictions: list[msgspec.Raw]  # a union of two TypedDicts is more than msgspec can take apart


class _Ready(TypedDict):
    model_version: str
    fallback: NotRequired[str | None]  # younger than the version: an older service lacks what follows
    labels: NotRequired[str | None]
    required: NotRequired[list[str]]
    removed: NotRequired[list[str]]


def decoded(kind: type[Answer], text: _Text) -> Answer:
    """Return an answer of this type.

    Raises
    ------
    ModelMalformed
        when the text is another one.
    """
    try:
        answer: Answer = _decoder(kind).decode(text)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise _malformed(error) from error
    return answer


_decoder: Callable[[Any], Decoder[Any]] = cache(Decoder)


def prediction(text: _Text, explained: bool = False) -> Prediction:
    """Return the answer for one customer, with its explanation if one was asked for."""
    answer = decoded(Prediction, text)
    segment, version = answer["segment"]["id"], answer["model_version"]
    _must(0 < len(segment) <= _LONGEST and 0 < len(version) <= _LONGEST, "length")
    _must(0 <= answer["confidence"] <= 1, "confidence")
    _must(answer["cluster"] >= 0 and answer["distance"] >= 0 and answer["margin"] >= 0, "a negative number")
    _must(not explained or "explanation" in answer, "no explanation")
    return answer


def batch(text: _Text, rows: int, explained: bool = False) -> list[Prediction | RowError]:
    """Return the answer for `rows` customers sent as records."""
    answers = decoded(_Batch, text)["predictions"]
    _must(len(answers) == rows, "number of predictions")
    return [_row(answer, explained) for answer in answers]


def _row(text: _Text, explained: bool) -> Prediction | RowError:
    try:
        return prediction(text, explained)
    except ModelMalformed as error:
        try:
            return decoded(RowError, text)
        except ModelMalformed:
            raise error from None


def columnar(text: _Text, rows: int) -> ColumnarAnswer:
    """Return the answer for `rows` customers sent by column."""
    answer = decoded(ColumnarAnswer, text)
    segments = len(answer["segments"])
    _within(answer["cluster"], rows, 0, segments - 1, "cluster")
    _within(answer["rival"], rows, -1, segments - 1, "rival")
    _within(answer["confidence"], rows, 0, 1, "confidence")
    return answer


def move(text: _Text, changed: Container[str]) -> MoveExplanation:
    """Return why a customer moved, of whom these features had changed."""
    answer = decoded(MoveExplanation, text)
    _must(all(c["feature"] in changed and 0 <= c["share"] <= 1 for c in answer["contributions"]), "contributions")
    return answer


def status(text: _Text) -> ModelStatus:
    """Return what the model service says of its readiness."""
    answer = decoded(_Ready, text)
    required = tuple(answer["required"]) if "required" in answer else None
    removed = tuple(answer.get("removed", ()))
    return ModelStatus(answer["model_version"], answer.get("fallback"), answer.get("labels"), required, removed)


def _within(values: Sequence[float], rows: int, low: int, high: int, what: str) -> None:
    _must(len(values) == rows and (not values or low <= min(values) <= max(values) <= high), what)


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise _malformed(what)


def _malformed(why: object) -> ModelMalformed:
    return ModelMalformed(f"The model service's answer breaks the contract: {why}.")


log = logging.getLogger(__name__)


def fault_of(status: int, text: bytes) -> SegmentationError:
    """Return what an answer with a status that is no success means."""
    problem = _problem(text)
    if problem and REFUSALS.get(problem["code"]) == status:
        return RegistryRefusal(status, problem["code"], problem["detail"], problem.get("errors", []))
    if status == 401:
        log.error("the model service does not know this gateway: give both tiers the same MODEL_SERVICE_SECRET")
        return ModelAccessDenied()
    if status == 503:
        return ModelUnavailable("The model service has no model loaded.")
    return ModelMalformed(f"The model service answered with status {status}.")


def refusal(text: bytes) -> ModelRefused:
    """Return what it means that the model service refuses a customer's data, which the gateway let pass."""
    problem = _problem(text)
    errors = problem.get("errors", []) if problem else []
    details = "; ".join(f"{error['pointer']} {error['detail']}" for error in errors[:_SHOWN])
    # A pointer to a whole column: the two tiers have different data dictionaries.
    whole = any(_WHOLE_COLUMN.fullmatch(error["pointer"]) for error in errors)
    return ModelRefused(f"The model service refuses a customer's data ({details or 'it says no more'}).", whole)


_SHOWN = 3
_WHOLE_COLUMN = re.compile("/columns/[^/]+")


def _problem(text: bytes) -> Problem | None:
    try:
        return decoded(Problem, text)
    except ModelMalformed:
        return None
