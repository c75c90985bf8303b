"""Style sheet and scripts, in memory; apart from the controller, because templates ask for the addresses.

An address changes with what is in the files, so that browsers may keep them.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@cache
def static_files() -> dict[str, bytes]:
    """Return all files by name."""
    folder = files("gateway.pages") / "static"
    found = {file.name: file.read_bytes() for file in folder.iterdir()}
    return {name: found[name] for name in sorted(found) if name.rpartition(".")[2] in TYPES}


@cache
def digest() -> str:
    """Return what stands for the contents of all files: modules import each other, so that they change together."""
    whole = hashlib.sha256()
    for name, content in static_files().items():
        whole.update(name.encode() + b"\0" + content + b"\0")
    return whole.hexdigest()[:12]


def address_of(name: str) -> str:
    """Return the address of a file.

    Raises
    ------
    KeyError
        if there is none of this name.
    """
    static_files()[name]
    return f"/static/{digest()}/{name}"
