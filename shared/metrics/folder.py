"""Where the processes of a server keep their metrics, apart because it is made before anything loads prometheus_client.

That decides when it is loaded whether values are kept in files that all processes of a server share.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # writing must not wait for a disk; exists on a read-only root too


def make_metrics_folder(server: str) -> None:
    """Make a fresh folder for the processes that this one becomes or starts, and name it in the environment.

    Folders of servers that are gone are removed: their processes could not do so when they were killed. A server that
    reads its configuration anew keeps the folder that it has.
    """
    parent = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    begin = f"segmentation-{server}-metrics-"
    if Path(os.environ.get(VARIABLE, "")).name.startswith(f"{begin}{os.getpid()}-"):
        return
    for left in parent.glob(f"{begin}*"):
        process = left.name.removeprefix(begin).partition("-")[0]
        if process.isdigit() and not is_alive(int(process)):
            shutil.rmtree(left, ignore_errors=True)
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix=f"{begin}{os.getpid()}-", dir=parent)


def is_alive(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
