"""The data dictionary with one entry more, or one less, as an editor would leave it: run before anything is imported.

``python -m support.one_more_feature SCRIPT`` runs the script's text in a process whose `shared.features` has `ENTRY`;
``python -m support.one_more_feature SCRIPT NAME`` in one whose `shared.features` lacks the entry of this name.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

NAME = "LATE_PAYMENTS"
ENTRY = f'    _count("{NAME}", "Payments that came too late"),\n'
_FIRST = "FEATURES: tuple[Feature, ...] = (\n"


def load_with_entry() -> ModuleType:
    """Load shared/features.py with the entry in its tuple, in place of the real module."""
    return _load(lambda source: _replaced(source, re.escape(_FIRST), _FIRST + ENTRY))


def load_without_entry(name: str) -> ModuleType:
    """Load shared/features.py without an entry, in place of the real module."""
    entry = rf'^    \w+\(\s*"{name}",(?:[^\n]*\),\n|.*?\n    \),\n)'  # on one line, or several
    return _load(lambda source: _replaced(source, entry, ""))


def _replaced(source: str, pattern: str, replacement: str) -> str:
    changed, count = re.subn(pattern, replacement, source, flags=re.MULTILINE | re.DOTALL)
    assert count == 1, pattern
    return changed


def _load(edit: Callable[[str], str]) -> ModuleType:
    spec = importlib.util.find_spec("shared.features")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    module = importlib.util.module_from_spec(spec)
    sys.modules["shared.features"] = module
    exec(compile(edit(source), spec.origin, "exec"), module.__dict__)
    return module


if __name__ == "__main__":
    if sys.argv[2:]:
        load_without_entry(sys.argv[2])
    else:
        load_with_entry()
    exec(sys.argv[1])
