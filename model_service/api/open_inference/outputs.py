"""From scores to the answer of the Open Inference Protocol v2: the model's output tensors, as JSON or binary."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from model_service.api.errors import validation_failed
from model_service.api.open_inference.inputs import BINARY_SIZE, InferRequest
from shared.contract import BORDERLINE, ColumnarAnswer
from shared.problems import FieldError


class OutputTensor(NamedTuple):
    """One tensor of the answer, of shape [n], and how its elements come out of the scores."""

    name: str
    datatype: str
    elements: Callable[[ColumnarAnswer], list[Any]]


def _segments(
    index: Literal["cluster", "rival"], member: Literal["id", "name"]
) -> Callable[[ColumnarAnswer], list[Any]]:
    """Return the ids or names of the segments at the indices of an answer."""
    return lambda answer: [answer["segments"][i][member] for i in answer[index]]


OUTPUTS = (
    OutputTensor("segment_id", "BYTES", _segments("cluster", "id")),
    OutputTensor("segment_name", "BYTES", _segments("cluster", "name")),
    OutputTensor("rival_id", "BYTES", _segments("rival", "id")),
    OutputTensor("cluster", "INT64", lambda answer: answer["cluster"]),
    OutputTensor("confidence", "FP64", lambda answer: answer["confidence"]),
    OutputTensor("distance", "FP64", lambda answer: answer["distance"]),
    OutputTensor("margin", "FP64", lambda answer: answer["margin"]),
    OutputTensor("borderline", "BOOL", lambda answer: [c < BORDERLINE for c in answer["confidence"]]),
)
"""What the model answers; by the same names as `shared.contract.Prediction`."""

_by_name = {output.name: output for output in OUTPUTS}
_DTYPES = {"INT64": "<i8", "FP64": "<f8", "BOOL": "?"}


class Wanted(NamedTuple):
    """A requested tensor, and whether its data shall be binary."""

    output: OutputTensor
    binary: bool


def wanted_outputs(request: InferRequest) -> list[Wanted]:
    """Return the tensors that a request names: all, if it names none.

    Raises
    ------
    ApiError
        422 for a name that is not an output's.
    """
    binary = request.parameters.get("binary_data_output") is True
    if not request.outputs:
        return [Wanted(output, binary) for output in OUTPUTS]
    unknown = [i for i, output in enumerate(request.outputs) if output.name not in _by_name]
    if unknown:
        detail = f"must be one of {', '.join(_by_name)}"
        raise validation_failed([FieldError(pointer=f"/outputs/{i}/name", detail=detail) for i in unknown])
    return [
        Wanted(_by_name[output.name], output.parameters.get("binary_data", binary) is True)
        for output in request.outputs
    ]


def tensors(answer: ColumnarAnswer, wanted: list[Wanted]) -> tuple[list[dict[str, Any]], bytes]:
    """Return the requested tensors, and the binary data of those that shall be binary, one after the other."""
    found, binary = [], []
    for output, as_binary in wanted:
        elements = output.elements(answer)
        tensor: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": [len(elements)]}
        if as_binary:
            binary.append(_encoded(output.datatype, elements))
            tensor["parameters"] = {BINARY_SIZE: len(binary[-1])}
        else:
            tensor["data"] = elements
        found.append(tensor)
    return found, b"".join(binary)


def _encoded(datatype: str, elements: list[Any]) -> bytes:
    """Return elements in binary form: little-endian, text preceded by its length in four bytes."""
    if datatype == "BYTES":
        texts = [element.encode() for element in elements]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.array(elements, dtype=_DTYPES[datatype]).tobytes()
