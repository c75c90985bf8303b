"""From a request of the Open Inference Protocol v2 to rows that can be scored.

Tensors are named after the features, each of shape [n] or [n, 1], or there is one tensor of any name with all of them
in the order of the model's metadata, of shape [n, n_inputs]. Their data stand in the JSON text, nested or flat, or
follow it in the body (extension ``binary_tensor_data``: little-endian, row-major, ``binary_data_size`` bytes each).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, ValidationError

from model_service.api.bodies import parse
from model_service.api.customers import MAX_ERRORS, accepted
from model_service.api.errors import ApiError, field_errors, pointer, validation_failed
from model_service.scoring.pipeline import Matrix
from model_service.scoring.rows import distance_matrix
from shared.columns import column_faults
from shared.contract import MAX_COLUMNAR
from shared.features import BY_NAME, INPUT_NAMES, INPUTS, Feature
from shared.problems import FieldError

BINARY_SIZE = "binary_data_size"
JSON_LENGTH = "Inference-Header-Content-Length"

_DTYPES = {"FP64": "<f8", "FP32": "<f4", "FP16": "<f2"}
_DTYPES |= {f"{sign}INT{8 * size}": f"<{kind}{size}" for sign, kind in (("", "i"), ("U", "u")) for size in (8, 4, 2, 1)}
_NUMBERS_OR_NULL = {int, float, type(None)}

# Some clients write null for nothing.
_Parameters = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]

_Path = tuple[str | int, ...]
_Fault = tuple[_Path, str]
"""Where in the request something is wrong, and what."""


class InferInput(BaseModel):
    """One tensor of a request."""

    model_config = ConfigDict(strict=True)

    name: str
    shape: Annotated[list[NonNegativeInt], Field(min_length=1, max_length=2)]
    datatype: Annotated[str, Field(pattern=f"^({'|'.join(_DTYPES)})$")]
    parameters: _Parameters = {}
    data: list[Any] | None = None


class RequestedOutput(BaseModel):
    """One tensor that the answer shall have."""

    model_config = ConfigDict(strict=True)

    name: str
    parameters: _Parameters = {}


class InferRequest(BaseModel):
    """The JSON text of a request; members that the protocol does not name are passed over."""

    model_config = ConfigDict(strict=True)

    id: str | None = None
    parameters: _Parameters = {}
    inputs: Annotated[list[InferInput], Field(min_length=1)]
    outputs: Annotated[list[RequestedOutput], BeforeValidator(lambda value: [] if value is None else value)] = []


class _Column(NamedTuple):
    """One feature's values, shape (n,), and where they stand: the tensor, and its column if it has several."""

    values: Matrix
    tensor: int
    place: _Path


def read_request(body: bytes, json_length: str | None) -> tuple[InferRequest, bytes]:
    """Return the request and the binary data that follow its JSON text, of `json_length` bytes if that is given.

    Raises
    ------
    ApiError
        400 when the text is not JSON or not as long as said, 422 when it is no request.
    """
    length = len(body)
    if json_length is not None:
        if not re.fullmatch("[0-9]{1,15}", json_length) or int(json_length) > length:
            raise ApiError(400, "bad_request", f"{JSON_LENGTH} must be a length within the body.")
        length = int(json_length)
    try:
        return InferRequest.model_validate(parse(body[:length])), body[length:]
    except ValidationError as error:
        raise validation_failed(field_errors(error)[:MAX_ERRORS]) from error


def rows_of_tensors(inputs: Sequence[InferInput], binary: bytes, dispensable: frozenset[str] = frozenset()) -> Matrix:
    """Return the rows that the tensors describe, in the form that the model scores; `binary` has their binary data.

    Inputs that are `dispensable` may be missing.

    Raises
    ------
    ApiError
        422 with a pointer to each refused tensor or value; values are pointed at in their nested form.
    """
    features = accepted(dispensable).features
    _refuse(_shape_faults(inputs, features))
    tensors = list(_matrices(inputs, binary))
    if _positional(inputs):
        columns = {name: _Column(tensors[0][:, j], 0, (j,)) for j, name in enumerate(INPUT_NAMES)}
    else:
        columns = {t.name: _Column(tensors[i][:, 0], i, (0,) * (len(t.shape) - 1)) for i, t in enumerate(inputs)}
    _refuse(_value_faults(columns, features))
    blank = np.full(len(tensors[0]), np.nan)
    return distance_matrix({name: columns[name].values if name in columns else blank for name in INPUT_NAMES})


def _positional(inputs: Sequence[InferInput]) -> bool:
    return len(inputs) == 1 and inputs[0].shape[1:] == [len(INPUTS)]


def _refuse(faults: Iterable[_Fault]) -> None:
    """Raise if there is any fault."""
    some = list(islice(faults, MAX_ERRORS))
    if some:
        raise _refusal(*some)


def _refusal(*faults: _Fault) -> ApiError:
    return validation_failed([FieldError(pointer=pointer("", path), detail=detail) for path, detail in faults])


def _shape_faults(inputs: Sequence[InferInput], features: Mapping[str, Feature]) -> Iterator[_Fault]:
    """Yield what is wrong with the tensors' names and shapes."""
    rows = inputs[0].shape[0]
    if rows > MAX_COLUMNAR:
        yield ("inputs", 0, "shape"), f"must have at most {MAX_COLUMNAR} rows, not {rows}"
    if _positional(inputs):
        return
    yield from _name_faults([tensor.name for tensor in inputs], features)
    for i, tensor in enumerate(inputs):
        if tensor.shape not in ([rows], [rows, 1]):
            detail = f"must be [{rows}] or [{rows}, 1], or [{rows}, {len(INPUTS)}] for one tensor with all inputs"
            yield ("inputs", i, "shape"), detail


def _name_faults(names: list[str], features: Mapping[str, Feature]) -> Iterator[_Fault]:
    for i, name in enumerate(names):
        if name not in BY_NAME:
            yield ("inputs", i, "name"), "is not an input of the model"
        elif name in names[:i]:
            yield ("inputs", i, "name"), "is given more than once"
    for feature in INPUTS:
        if not features[feature.name].nullable and feature.name not in names:
            yield ("inputs",), f"{feature.name} is missing"


def _matrices(inputs: Sequence[InferInput], binary: bytes) -> Iterator[Matrix]:
    """Yield each tensor as float64 of shape (n, n_columns), NaN for null."""
    start = 0
    for i, tensor in enumerate(inputs):
        size = tensor.parameters.get(BINARY_SIZE)
        if size is None:
            yield _from_json(tensor, i)
        else:
            yield _from_binary(tensor, i, size, binary[start:])
            start += size
    if start != len(binary):
        raise _refusal(((), f"is followed by {len(binary)} bytes of binary data, but its tensors take {start}"))


def _from_binary(tensor: InferInput, i: int, size: Any, rest: bytes) -> Matrix:
    dtype = np.dtype(_DTYPES[tensor.datatype])
    expected = math.prod(tensor.shape) * dtype.itemsize
    if type(size) is not int or size != expected:
        raise _refusal((("inputs", i, "parameters", BINARY_SIZE), f"must be {expected} for this shape and datatype"))
    if len(rest) < expected:
        detail = f"has {expected} bytes of binary data, but the body has only {len(rest)} left"
        raise _refusal((("inputs", i), detail))
    return _table(np.frombuffer(rest[:expected], dtype).astype(np.float64), tensor)


def _from_json(tensor: InferInput, i: int) -> Matrix:
    if tensor.data is None:
        raise _refusal((("inputs", i, "data"), "is missing"))
    cells = _flat(tensor, tensor.data, i)
    if len(cells) != math.prod(tensor.shape):
        raise _refusal((("inputs", i, "data"), f"must have {math.prod(tensor.shape)} elements, not {len(cells)}"))
    if not set(map(type, cells)) <= _NUMBERS_OR_NULL:
        wrong = (place for place, cell in enumerate(cells) if type(cell) not in _NUMBERS_OR_NULL)
        _refuse((("inputs", i, "data", place), "must be a number or null") for place in wrong)
    return _table(np.array(cells, dtype=np.float64), tensor)


def _flat(tensor: InferInput, data: list[Any], i: int) -> list[Any]:
    """Return the elements of `data`, which may be a list of rows."""
    if len(tensor.shape) == 1 or set(map(type, data)) != {list}:
        return data
    width = tensor.shape[1]
    wrong = ((row, len(cells)) for row, cells in enumerate(data) if len(cells) != width)
    _refuse((("inputs", i, "data", row), f"must have {width} elements, not {found}") for row, found in wrong)
    return list(chain.from_iterable(data))


def _table(values: Matrix, tensor: InferInput) -> Matrix:
    return values.reshape((*tensor.shape, 1)[:2])


def _value_faults(columns: Mapping[str, _Column], features: Mapping[str, Feature]) -> Iterator[_Fault]:
    """Yield the values that break a hard rule; derived features are recomputed, so theirs do not matter."""
    for feature in INPUTS:
        if feature.name in columns:
            values, tensor, place = columns[feature.name]
            for row, fault in column_faults(values, features[feature.name]):
                yield ("inputs", tensor, "data", row, *place), f"{feature.name} {fault}"
