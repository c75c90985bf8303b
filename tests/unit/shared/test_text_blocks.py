"""Text in blocks of whole lines: the same lines, however the bytes arrive, and never more than a block in memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.customer_files.rows import FileRefused
from shared.customer_files.text import MAX_LINE, text_blocks

_texts = st.text(alphabet=st.sampled_from("aä\n\r,"), max_size=60)


def _pieces(content: bytes, size: int) -> list[bytes]:
    return [content[place : place + size] for place in range(0, len(content), size)]


@given(_texts, st.integers(1, 20), st.integers(1, 20))
def test_blocks_are_the_text_and_end_with_lines(text: str, piece: int, block: int) -> None:
    blocks = list(text_blocks(_pieces(text.encode(), piece), block))
    assert "".join(blocks) == text
    for this, following in pairwise(blocks):
        assert this.endswith(("\n", "\r"))
        assert not (this.endswith("\r") and following.startswith("\n")), "a line end is cut in two"


@pytest.mark.parametrize("piece", [1, 2, 3, 100])
def test_a_byte_order_mark_is_taken_off_the_beginning_only(piece: int) -> None:
    assert "".join(text_blocks(_pieces("\ufeffa\n\ufeffb".encode(), piece), 3)) == "a\n\ufeffb"


def test_utf16_is_refused() -> None:
    with pytest.raises(FileRefused, match="UTF-16"):
        list(text_blocks(["a\n".encode("utf-16")]))


def test_bytes_that_are_no_utf8_are_marked() -> None:
    assert "".join(text_blocks([b"M\xfcller\n"])) == "M\ufffdller\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_line_without_end_is_not_kept(newline: str) -> None:
    longest = 0

    def pieces() -> Iterator[bytes]:
        yield b"a" + newline.encode()
        for _ in range(100):
            yield b"x" * 65_536
        yield newline.encode() + b"b"

    lines = []
    for block in text_blocks(pieces(), 65_536):
        longest = max(longest, len(block))
        lines += block.split(newline)
    assert [line for line in lines if line and len(line) <= MAX_LINE] == ["a", "b"]
    assert [len(line) for line in lines if len(line) > MAX_LINE] == [MAX_LINE + 1]
    assert longest < 10 * 65_536


def test_no_more_is_read_than_a_block_needs() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"a\nb\n"
        raise AssertionError("read further than asked")

    assert next(text_blocks(pieces(), 1)) == "a\nb\n"
