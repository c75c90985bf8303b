"""From parsed JSON to rows that can be scored: one customer, many, or columns of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from model_service.api.errors import validation_failed
from model_service.api.schemas import customer_model, field_errors, pointer
from model_service.pipeline import Matrix
from model_service.rows import distance_matrix, distance_row
from shared.columns import column_faults
from shared.contract import MAX_BATCH, MAX_COLUMNAR
from shared.features import BY_NAME, DERIVED, DISTANCE_NAMES, FEATURES, INPUTS, Feature
from shared.problems import FieldError

CustomerFeatures = customer_model()

MAX_ERRORS = 100
"""Most refused values named in one answer."""

_NUMBERS = {float, int}
_NUMBERS_OR_NULL = {float, int, type(None)}
_input_names = tuple(f.name for f in INPUTS)
_names_by_count = {len(INPUTS): _input_names, len(FEATURES): tuple(f.name for f in FEATURES)}


class Rows(NamedTuple):
    """Rows of a batch: those that can be scored, where they stood, and what is wrong with the others."""

    matrix: Matrix
    positions: list[int]
    errors: dict[int, list[FieldError]]


def one_row(value: Any) -> Matrix:
    """Return the row of one customer's features, shape (n_features,).

    Raises
    ------
    ApiError
        422 with a pointer to each refused value.
    """
    try:
        return distance_row(vars(CustomerFeatures.model_validate(value)))
    except ValidationError as error:
        raise validation_failed(field_errors(error)) from error


def rows_of_records(customers: Any) -> Rows:
    """Return the rows of a list of customers' features.

    Raises
    ------
    ApiError
        422 when it is not a list, or too long a one.
    """
    if not isinstance(customers, list):
        raise validation_failed([FieldError(pointer="/customers", detail="must be an array")])
    if len(customers) > MAX_BATCH:
        detail = f"must have at most {MAX_BATCH} entries, not {len(customers)}"
        raise validation_failed([FieldError(pointer="/customers", detail=detail)])
    matrix = _faultless_records(customers)
    if matrix is not None:
        return Rows(matrix, list(range(len(customers))), {})
    return _one_by_one(customers)


def _faultless_records(customers: list[Any]) -> Matrix | None:
    """Return the matrix when every customer is plainly right, else None: who is wrong and why is found elsewhere.

    All values go through each check together, ten times as fast as one by one.
    """
    if set(map(type, customers)) != {dict} or len(sizes := set(map(len, customers))) != 1:
        return None
    names = _names_by_count.get(sizes.pop())
    if names is None:
        return None
    try:
        values = list(chain.from_iterable(map(itemgetter(*names), customers)))
    except KeyError:
        return None
    if not set(map(type, values)) <= _NUMBERS_OR_NULL:
        return None
    table = np.array(values, dtype=np.float64).reshape(-1, len(names)).T.copy()
    columns = dict(zip(names, table, strict=True))
    if any(_has_fault(column, BY_NAME[name]) for name, column in columns.items()):
        return None
    return distance_matrix(columns)


def _has_fault(column: Matrix, feature: Feature) -> bool:
    return next(column_faults(column, feature), None) is not None


def _one_by_one(customers: list[Any]) -> Rows:
    rows: list[Matrix] = []
    positions: list[int] = []
    errors: dict[int, list[FieldError]] = {}
    for position, customer in enumerate(customers):
        try:
            rows.append(distance_row(vars(CustomerFeatures.model_validate(customer))))
            positions.append(position)
        except ValidationError as error:
            errors[position] = field_errors(error, f"/customers/{position}")
    return Rows(np.array(rows, dtype=np.float64).reshape(-1, len(DISTANCE_NAMES)), positions, errors)


def rows_of_columns(columns: Any) -> Matrix:
    """Return the matrix of customers given by column: ``{FEATURE: [...], ...}``.

    Raises
    ------
    ApiError
        422 with pointers to missing, unknown or unequally long columns and to refused cells.
    """
    return distance_matrix(input_columns(columns))


def input_columns(columns: Any) -> dict[str, Matrix]:
    """Return the checked input columns of customers given by column, float64 with NaN for missing, shape (n,) each.

    Raises
    ------
    ApiError
        422 with pointers to missing, unknown or unequally long columns and to refused cells.
    """
    if not isinstance(columns, dict):
        raise validation_failed([FieldError(pointer="/columns", detail="must be an object")])
    errors = _shape_errors(columns)
    if errors:
        raise validation_failed(errors[:MAX_ERRORS])
    count = len(next(iter(columns.values())))
    arrays = {f.name: np.full(count, np.nan) for f in INPUTS if f.nullable}
    for name, cells in columns.items():
        arrays[name] = _column(BY_NAME[name], cells, errors)
    if errors:
        raise validation_failed(errors[:MAX_ERRORS])
    return {name: arrays[name] for name in _input_names}


def _shape_errors(columns: Mapping[str, Any]) -> list[FieldError]:
    found = {name: "is not a known field" for name in columns if name not in BY_NAME}
    found |= {f.name: "is missing" for f in INPUTS if not f.nullable and f.name not in columns}
    found |= {name: "must be an array" for name, cells in columns.items() if not isinstance(cells, list)}
    if not found:
        count = len(columns[_input_names[0]])
        if count > MAX_COLUMNAR:
            found = {_input_names[0]: f"must have at most {MAX_COLUMNAR} entries, not {count}"}
        else:
            found = {
                name: f"must have {count} entries like {_input_names[0]}, not {len(cells)}"
                for name, cells in columns.items()
                if len(cells) != count
            }
    return [FieldError(pointer=pointer("/columns", [name]), detail=detail) for name, detail in found.items()]


def _column(feature: Feature, cells: Sequence[Any], errors: list[FieldError]) -> Matrix:
    """Return one checked column; what is wrong with it goes to `errors`."""
    optional = feature.nullable or feature in DERIVED
    if set(map(type, cells)) <= (_NUMBERS_OR_NULL if optional else _NUMBERS):
        values = np.array(cells, dtype=np.float64)
        # A derived column may have nulls, which its rules do not allow for: it is recomputed anyway.
        checked = values[~np.isnan(values)] if feature in DERIVED else values
        if not _has_fault(checked, feature):
            return values
    for row, cell in enumerate(cells):
        fault = None if cell is None and optional else feature.fault(cell)
        if fault and len(errors) < MAX_ERRORS:
            errors.append(FieldError(pointer=pointer("/columns", [feature.name, row]), detail=fault))
    return np.empty(0)
