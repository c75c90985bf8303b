"""Drawing in a process of its own: serving never loads matplotlib, and no drawing can harm it."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

import model_service
from model_service.api.errors import ApiError, validation_failed
from model_service.api.json_body import parse
from model_service.api.schemas import answer_model, field_errors
from shared.model_contract import Drift, Preview
from shared.problems import FieldError

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Pictures that a process draws at a time; each takes a processor and 150 MB for a second or two."""

SECONDS = 30.0
"""Longest time a drawing may take."""

MAX_SEGMENTS = 100
MAX_COUNT = 10**12

SUBJECTS: dict[str, type[BaseModel]] = {"drift": answer_model(Drift), "transitions": answer_model(Preview)}
"""What can be drawn, and the shape of what describes it."""

_program = (sys.executable, "-m", "model_service.report.draw")
_root = Path(model_service.__file__).parent.parent


class Drawing:
    """Draws pictures, a few at a time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)

    def busy(self) -> bool:
        """Whether as many pictures are being drawn as may be."""
        return self._places.locked()

    async def draw(self, subject: str, kind: str, body: bytes) -> bytes:
        """Return the picture of what `body` describes in JSON.

        Raises
        ------
        ApiError
            400 or 422 when `body` is not that; 500 when the drawing fails or takes longer than `SECONDS`.
        """
        async with self._places:
            await asyncio.to_thread(_check, subject, body)
            return await _run([*_program, subject, kind], body)


def _check(subject: str, body: bytes) -> None:
    value = parse(body)
    try:
        SUBJECTS[subject].model_validate(value, strict=True)
    except ValidationError as error:
        raise validation_failed(field_errors(error)) from error
    faults = _matrix_faults(value) if subject == "transitions" else _size_faults("/features", value["features"])
    if faults:
        raise validation_failed(faults)


def _matrix_faults(preview: Any) -> list[FieldError]:
    """Say what is wrong with a preview that has the right members: sizes that do not fit."""
    before, after, counts = preview["before"], preview["after"], preview["transitions"]
    faults = [*_size_faults("/before", before), *_size_faults("/after", after)]
    if not before or not after:
        faults.append(FieldError(pointer="/transitions", detail="must have at least one row and one column"))
    if len(counts) != len(before) or any(len(row) != len(after) for row in counts):
        faults.append(FieldError(pointer="/transitions", detail="must have a row per before and a column per after"))
    if any(not 0 <= count <= MAX_COUNT for row in counts for count in row):
        faults.append(FieldError(pointer="/transitions", detail=f"must hold counts from 0 to {MAX_COUNT:g}"))
    return faults


def _size_faults(pointer: str, rows: list[Any]) -> list[FieldError]:
    many = len(rows) > MAX_SEGMENTS
    return [FieldError(pointer=pointer, detail=f"must have at most {MAX_SEGMENTS} entries")] if many else []


async def _run(command: list[str], given: bytes) -> bytes:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=_root)
    try:
        picture, complaint = await asyncio.wait_for(process.communicate(given), SECONDS)
    except TimeoutError:
        raise ApiError(500, "drawing_failed", f"The drawing took longer than {SECONDS:g} seconds.") from None
    finally:
        if process.returncode is None:  # too slow, or the client left
            process.kill()
            await process.wait()
    if process.returncode or not picture:
        log.error("drawing failed (%s): %s", process.returncode, complaint.decode(errors="replace"))
        raise ApiError(500, "drawing_failed", "The picture could not be drawn; the log has the reason.")
    return picture
