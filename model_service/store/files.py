"""Files that are replaced in one step and survive a crash at any instant, and locks that do not."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

Stamp = tuple[int, int, int]


def rfc3339(moment: datetime) -> str:
    """Return a UTC time as the API writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_of(name: str) -> str:
    """Return the time with which the name of a version or a training begins; 1970 when there is no such time."""
    try:
        return rfc3339(datetime.strptime(name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC))
    except ValueError:  # people may have made the folder
        return rfc3339(datetime.fromtimestamp(0, UTC))


def fsync(path: Path) -> None:
    """Make a file or directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stamp(path: Path) -> Stamp | None:
    """Return a value that changes whenever the file is replaced; None while there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    # The size too: a tick of the file system's clock may be longer than two replacements take.
    return found.st_ino, found.st_mtime_ns, found.st_size


def replace_files(content: bytes, *paths: Path) -> None:
    """Give all `paths`, which lie in one directory, the same content, one after the other.

    A reader, or a crash at any instant, sees the old content or the new, nothing between. There must be one writer at
    a time. Nothing is replaced before there is room for everything.
    """
    drafts = [path.with_name(f".{path.name}.new") for path in paths]
    try:
        for draft in drafts:
            draft.write_bytes(content)
            draft.chmod(0o644)  # whatever the umask: the serving user may be another one
            fsync(draft)
        for draft, path in zip(drafts, paths, strict=True):
            draft.replace(path)
        fsync(paths[0].parent)
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock file at `path` alone, among all processes and threads; the kernel releases it at a crash.

    Raises
    ------
    BlockingIOError
        when it is held already and the caller will not wait.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)
