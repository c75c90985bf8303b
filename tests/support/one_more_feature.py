"""The data dictionary with one entry more, as an editor would add it: run before anything else is imported.

``python -m support.one_more_feature SCRIPT`` runs the script's text in a process whose `shared.features` has `ENTRY`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

NAME = "LATE_PAYMENTS"
ENTRY = f'    _count("{NAME}", "Payments that came too late"),\n'
_FIRST = "FEATURES: tuple[Feature, ...] = (\n"


def load_with_entry() -> ModuleType:
    """Load shared/features.py with the entry in its tuple, in place of the real module."""
    spec = importlib.util.find_spec("shared.features")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    assert source.count(_FIRST) == 1
    module = importlib.util.module_from_spec(spec)
    sys.modules["shared.features"] = module
    exec(compile(source.replace(_FIRST, _FIRST + ENTRY), spec.origin, "exec"), module.__dict__)
    return module


if __name__ == "__main__":
    load_with_entry()
    exec(sys.argv[1])
