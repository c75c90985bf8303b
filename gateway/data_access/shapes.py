"""Checks made out of the wire contract's own types, so that the shape of an answer is written down once.

pydantic would do it too, but the gateway needs nothing else of it; a check is built once and then as cheap as one
written by hand.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

from typing_extensions import is_typeddict

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
