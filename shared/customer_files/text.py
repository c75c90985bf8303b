"""Text out of a stream of bytes, in blocks of whole lines; memory stays that of a block, whatever is sent."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

from shared.customer_files.rows import FileRefused

MAX_LINE = 65_536
"""Most characters of a line that any reader takes."""
BLOCK_BYTES = 1 << 20

_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF8.decode("cp1252").encode())  # the second was read as Windows-1252 on its way
_MOST_BYTES = 4 * MAX_LINE  # a longer line has more than MAX_LINE characters, whichever they are
_TOO_LONG = b"?" * (MAX_LINE + 1)


def text_blocks(pieces: Iterable[bytes], block_bytes: int = BLOCK_BYTES) -> Iterator[str]:
    r"""Yield the text in blocks of about `block_bytes`, cut after line ends (``\n``, ``\r\n`` or ``\r``).

    Byte order marks at the beginning are taken off, however often programs have put one there. Bytes that are no UTF-8
    become U+FFFD, which no id and no number may hold. A line so long that no reader takes it is replaced by one of
    `MAX_LINE` + 1 characters.

    Raises
    ------
    FileRefused
        for UTF-16.
    """
    first = True
    for block in _whole_lines(_gathered(pieces, block_bytes)):
        if first:
            _refuse_utf16(block)
            while block.startswith(_MARKS):
                block = block.removeprefix(_MARKS[0]).removeprefix(_MARKS[1])
        yield block.decode("utf-8", "replace")
        first = False


def _gathered(pieces: Iterable[bytes], least: int) -> Iterator[bytes]:
    """Join small pieces."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= least:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest, skipping = b"", False
    for block in blocks:
        if skipping:
            end = _first_end(block)
            skipping, block = end < 0, block[end:] if end >= 0 else b""
        text = rest + block
        cut = _last_cut(text)
        rest = text[cut:]
        if cut:
            yield text[:cut]
        if len(rest) > _MOST_BYTES:
            rest, skipping = _TOO_LONG, True
    if rest:
        yield rest


def _first_end(block: bytes) -> int:
    """Return where the first line end begins, or -1."""
    return min((place for place in (block.find(b"\n"), block.find(b"\r")) if place >= 0), default=-1)


def _last_cut(text: bytes) -> int:
    """Return where the last whole line ends, 0 without one; a return at the end may be half a line end."""
    return max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1)) + 1


def _refuse_utf16(block: bytes) -> None:
    if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise FileRefused("The file is UTF-16 text; save it as UTF-8.")
