"""Checks made out of the wire contract's own types, so that the shape of an answer is written down once.

pydantic would do it too, but the gateway needs nothing else of it; a check is built once and then as cheap as one
written by hand.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, NotRequired, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from typing_extensions import is_typeddict

from gateway.services.errors import ModelMalformed
from gateway.services.models.model import ModelStatus
from shared.contract import ColumnarAnswer, Explanation, ModelSummary, Prediction, RowError

Check = Callable[[Any], None]
"""Raises ValueError for a value of another shape."""

_EXACT: dict[Any, frozenset[type]] = {
    float: frozenset({float, int}),  # JSON writes 1.0 as 1, too
    int: frozenset({int}),
    str: frozenset({str}),
    bool: frozenset({bool}),  # and never a number
    type(None): frozenset({type(None)}),
}


def check_of(kind: Any) -> Check:
    """Return the check of a TypedDict, or of what may stand in one: lists, dicts, unions, literals and plain values.

    Members beyond those declared are allowed, so that the model service may learn to say more.
    """
    return _check_of(kind)


@cache
def _check_of(kind: Any) -> Check:
    if is_typeddict(kind):
        return _object(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is list:
        return _list(check_of(arguments[0]))
    if origin is dict:
        return _dict(check_of(arguments[1]))
    if origin in (Union, types.UnionType):
        return _either([check_of(argument) for argument in arguments])
    if origin is Literal:
        return _literal(arguments)
    return _anything if kind is Any else _plain(kind)


def _object(kind: Any) -> Check:
    members = get_type_hints(kind, include_extras=True)
    optional = {name: check_of(get_args(m)[0]) for name, m in members.items() if get_origin(m) is NotRequired}
    required = {name: check_of(m) for name, m in members.items() if name not in optional}

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise ValueError(f"{kind.__name__} is no object")
        for name, member in required.items():
            if name not in value:
                raise ValueError(f"{kind.__name__} lacks {name}")
            member(value[name])
        for name in optional.keys() & value.keys():
            optional[name](value[name])

    return check


def _list(entry: Check) -> Check:
    def check(value: Any) -> None:
        if type(value) is not list:
            raise ValueError("no array")
        for one in value:
            entry(one)

    return check


def _dict(entry: Check) -> Check:
    def check(value: Any) -> None:
        if type(value) is not dict:
            raise ValueError("no object")
        for one in value.values():
            entry(one)

    return check


def _either(checks: list[Check]) -> Check:
    def check(value: Any) -> None:
        for one in checks:
            try:
                return one(value)
            except ValueError:
                continue
        raise ValueError("none of the allowed shapes")

    return check


def _literal(allowed: tuple[Any, ...]) -> Check:
    def check(value: Any) -> None:
        if not any(type(value) is type(one) and value == one for one in allowed):
            raise ValueError(f"none of {allowed}")

    return check


def _plain(kind: Any) -> Check:
    allowed = _EXACT[kind]

    def check(value: Any) -> None:
        if type(value) not in allowed:
            raise ValueError(f"no {kind.__name__}")

    return check


def _anything(_value: Any) -> None:
    return


Answer = TypeVar("Answer")


def checked(check: Callable[[Any], Answer], answer: Any) -> Answer:
    """Return what `check` makes of an answer.

    Raises
    ------
    ModelMalformed
        when it breaks the contract.
    """
    try:
        return check(answer)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelMalformed(f"the model service's answer breaks the contract: {error!r}") from error


_LONGEST = 128
"""Characters of an id or a version: they are stored with every customer."""
_NUMBER: set[type] = {float, int}
_PREDICTION: dict[str, set[type]] = {
    "cluster": {int},
    "confidence": {float},
    "borderline": {bool},
    "distance": _NUMBER,
    "margin": _NUMBER,
    "model_version": {str},
    "imputed": {list},
    "warnings": {list},
}
_REF: dict[str, set[type]] = {"id": {str}, "name": {str}}
_SEGMENT: dict[str, set[type]] = {**_REF, "size": {int}, "share": _NUMBER, "actions": {list}, "profile": {dict}}
_MODEL: dict[str, set[type]] = {"version": {str}, "segments": {list}}
_PROBLEM: dict[str, set[type]] = {"code": {str}, "detail": {str}}
_FINDING: dict[str, set[type]] = {"pointer": {str}, "code": {str}, "detail": {str}}
_explanation = check_of(Explanation)


def prediction(answer: Any, explained: bool = False) -> Prediction:
    """Check the answer for one customer, with its explanation if one was asked for."""
    _shape(answer, _PREDICTION)
    _shape(answer["segment"], _REF)
    _must(0 < len(answer["segment"]["id"]) <= _LONGEST and 0 < len(answer["model_version"]) <= _LONGEST, "length")
    if answer["rival"] is not None:
        _shape(answer["rival"], _REF)
    _must(0 <= answer["confidence"] <= 1, "confidence")
    _must(min(answer["cluster"], answer["distance"], answer["margin"]) >= 0, "a negative number")
    _must(all(type(name) is str for name in answer["imputed"]), "imputed")
    for finding in answer["warnings"]:
        _shape(finding, _FINDING)
    if explained:
        _explanation(answer["explanation"])
    return cast(Prediction, answer)


def batch(answer: Any, rows: int, explained: bool = False) -> list[Prediction | RowError]:
    """Check the answer for `rows` customers sent as records."""
    predictions = answer["predictions"]
    _must(isinstance(predictions, list) and len(predictions) == rows, "number of predictions")
    return [_row_error(p) if "error" in p else prediction(p, explained) for p in predictions]


def _row_error(answer: Any) -> RowError:
    _shape(answer["error"], _PROBLEM)
    return cast(RowError, answer)


def columnar(answer: Any, rows: int) -> ColumnarAnswer:
    """Check the answer for `rows` customers sent by column."""
    segments = len(answer["segments"])
    _must(all(isinstance(segment["id"], str) for segment in answer["segments"]), "segments")
    _must(isinstance(answer["model_version"], str), "model_version")
    for name, low in (("cluster", 0), ("rival", -1)):
        places = answer[name]
        _must(len(places) == rows and set(map(type, places)) <= {int}, name)
        _must(not places or low <= min(places) <= max(places) < segments, name)
    sure = answer["confidence"]
    _must(len(sure) == rows and set(map(type, sure)) <= _NUMBER, "confidence")
    _must(not sure or 0 <= min(sure) <= max(sure) <= 1, "confidence")
    return cast(ColumnarAnswer, answer)


def status(answer: Any) -> ModelStatus:
    """Check what the model service says of its readiness."""
    _shape(answer, {"model_version": {str}})
    damage = [answer.get("fallback"), answer.get("labels")]  # younger than the version: an older service lacks them
    _must(set(map(type, damage)) <= {str, type(None)}, "damage")
    return ModelStatus(answer["model_version"], *damage)


def summary(answer: Any) -> ModelSummary:
    """Check the description of a model."""
    _shape(answer, _MODEL)
    for segment in answer["segments"]:
        _shape(segment, _SEGMENT)
    return cast(ModelSummary, answer)


def _shape(value: Any, kinds: Mapping[str, set[type]]) -> None:
    """Raise unless the object has each member with one of the exact types (a boolean is no number)."""
    for name, allowed in kinds.items():
        _must(type(value[name]) in allowed, name)


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)
