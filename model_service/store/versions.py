"""The versions in a model store: immutable directories, each appearing in one step, and who may make one.

While a version is being written it is a hidden directory, of whoever holds the lock of trainings.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from model_service.store import artefact
from model_service.store.artefact import MANIFEST_FILE, MODEL_FILE, SIGNATURE_FILE, LoadedModel
from model_service.store.errors import StoreNotWritable, TrainingRunning, VersionNotFound, cause
from model_service.store.files import Stamp, exclusive, fsync, rfc3339, stamp
from model_service.store.manifest import Manifest
from model_service.store.signatures import IN_DEVELOPMENT, Signer

_version = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


class Versions:
    """Reads and writes the versions in `directory`, which need not exist yet; any number of processes may do so."""

    def __init__(self, directory: Path, signer: Signer = IN_DEVELOPMENT) -> None:
        self.directory = directory
        self.signer = signer
        self._training_thread: int | None = None

    def versions(self) -> list[str]:
        """Names of all stored versions, oldest first."""
        if not self.directory.is_dir():
            return []
        return sorted(p.name for p in self.directory.iterdir() if p.is_dir() and _version.fullmatch(p.name))

    def path(self, version: str) -> Path:
        """Return the directory of a stored version.

        Raises
        ------
        VersionNotFound
        """
        path = self.directory / version
        if not _version.fullmatch(version) or not path.is_dir():
            raise VersionNotFound(f"There is no model version {version!r}.")
        return path

    def manifest(self, version: str) -> Manifest:
        """Read a version's manifest.

        Raises
        ------
        VersionNotFound, ArtefactDamaged
        """
        return artefact.read_manifest(self.path(version), self.signer)

    def load(self, version: str) -> LoadedModel:
        """Load a version for serving, after proving that it is signed, whole and correctly compiled.

        Raises
        ------
        VersionNotFound, ArtefactDamaged, IncompatibleModel, LabelsDiffer
        """
        return artefact.load(self.path(version), self.signer)

    def stamp(self, version: str) -> tuple[Stamp | None, ...]:
        """Return a value that changes when the files of a version are not those they were: damaged, or repaired.

        Raises
        ------
        VersionNotFound
        """
        path = self.path(version)
        return tuple(stamp(path / name) for name in (MODEL_FILE, MANIFEST_FILE, SIGNATURE_FILE))

    def make(self, fill: Callable[[Path], str]) -> str:
        """Store a new version and return its name.

        `fill` puts everything into the directory that it is given, under a `free_name` that it returns. The version
        appears in one step (rename), complete or not at all.

        Raises
        ------
        TrainingRunning, StoreNotWritable
        """
        with self.training_lock(), writable(self.directory):
            temporary = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.directory))
            try:
                version = fill(temporary)
                self._publish(temporary, version)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        return version

    def free_name(self, digest: str) -> tuple[str, str]:
        """Return the name of a version that is made now of parameters with this digest, and the time in it."""
        created = datetime.now(UTC).replace(microsecond=0)
        while (self.directory / _version_name(created, digest)).exists():
            created += timedelta(seconds=1)
        return _version_name(created, digest), rfc3339(created)

    def _publish(self, temporary: Path, version: str) -> None:
        temporary.chmod(0o755)  # mkdtemp gives 0700, but the serving user may be another one
        for path in (*temporary.rglob("*"), temporary):
            fsync(path)
        temporary.rename(self.directory / version)
        fsync(self.directory)

    @contextlib.contextmanager
    def training_lock(self) -> Iterator[None]:
        """Be the only one who makes a version, over all processes, so that no segment id is given out twice.

        The kernel releases the lock when its process dies. What an earlier one left half written is removed. The
        thread that holds the lock may take it again.

        Raises
        ------
        TrainingRunning, StoreNotWritable
        """
        if self._training_thread == threading.get_ident():
            yield
            return
        with contextlib.ExitStack() as held:
            with writable(self.directory):
                try:
                    held.enter_context(drafting(self.directory))
                except BlockingIOError as error:
                    raise TrainingRunning("Another training is running; wait for it to end, or cancel it.") from error
            self._training_thread = threading.get_ident()
            held.callback(setattr, self, "_training_thread", None)
            yield


@contextlib.contextmanager
def writable(directory: Path) -> Iterator[None]:
    """Make sure that a model store exists, and take what the operating system refuses inside for what it is.

    Raises
    ------
    StoreNotWritable
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise StoreNotWritable(f"The model store cannot be written: {cause(error)}.") from error


def _version_name(created: datetime, digest: str) -> str:
    return f"{created:%Y%m%dT%H%M%SZ}-{digest[:8]}"


PREFIX = ".writing-"
"""How the name of a version begins while it is being written."""
PRUNED = ".pruned-"
"""How the name of a version begins while it is being deleted."""


@contextlib.contextmanager
def drafting(store: Path) -> Iterator[None]:
    """Be the only one who writes or deletes a version, over all processes; what a dead one left of one is removed.

    Raises
    ------
    BlockingIOError
        when another does.
    OSError
    """
    with exclusive(store / ".training.lock", wait=False):
        for draft in (*store.glob(f"{PREFIX}*"), *store.glob(f"{PRUNED}*")):
            shutil.rmtree(draft)
        yield


def clear_drafts(store: Path) -> None:
    """Remove what the dead left half written, unless somebody writes a version now.

    Raises
    ------
    OSError
    """
    with contextlib.suppress(BlockingIOError), drafting(store):
        pass
