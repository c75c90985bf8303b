"""Texts of the command line (short: every room's options share it), which are UTF-8 because records are."""

from __future__ import annotations

from pathlib import Path

import click


class Text(click.ParamType):  # type: ignore[type-arg]  # generic for type checkers alone, in some versions of click
    """A text that can be stored: of bytes that are no UTF-8, Python makes lone surrogates."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text."""
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail("is not valid UTF-8", param, ctx)
        return value


TEXT = Text()


def named_in_utf8(context: click.Context, parameter: click.Parameter, file: Path) -> Path:
    """Return a file whose name can be stored."""
    TEXT.convert(file.name, parameter, context)
    return file
