"""The model store: a directory of immutable versions and one small file that says which is active.

::

    <store>/<version>/model.joblib     the fitted pipeline
    <store>/<version>/manifest.json    everything else (`model_service.manifest.Manifest`)
    <store>/active.json                the active version and the history of activations
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import joblib
import numpy as np
import orjson
import sklearn
from sklearn.pipeline import Pipeline

from model_service.active_file import ActiveFile, fsync, rfc3339
from model_service.manifest import Manifest
from model_service.pipeline import CompiledScorer, Parameters, label_differences
from model_service.registry_errors import (
    ArtefactDamaged,
    IncompatibleModel,
    LabelsDiffer,
    NoActiveModel,
    VersionNotFound,
)
from shared.features import DISTANCE_NAMES

MODEL_FILE = "model.joblib"
MANIFEST_FILE = "manifest.json"
ACTIVE_FILE = "active.json"

_version = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A version that passed every check and is ready to score."""

    manifest: Manifest
    scorer: CompiledScorer

    @property
    def version(self) -> str:
        """The version's name."""
        return self.manifest["version"]


class ModelStore:
    """Reads and writes the model store at `directory`, which need not exist yet."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.active = ActiveFile(directory / ACTIVE_FILE)

    def versions(self) -> list[str]:
        """Names of all stored versions, oldest first."""
        if not self.directory.is_dir():
            return []
        return sorted(p.name for p in self.directory.iterdir() if p.is_dir() and _version.fullmatch(p.name))

    def save(self, pipeline: Pipeline, manifest: Manifest) -> str:
        """Store a fitted pipeline as a new version and return the version's name.

        ``version``, ``created_at``, ``model_digest`` and ``model_sha256`` of `manifest` are filled in. The version
        appears in one step (rename), complete or not at all.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        digest = Parameters.of(pipeline).digest()
        created = self._free_second(digest)
        version = _version_name(created, digest)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=self.directory))
        try:
            joblib.dump(pipeline, temporary / MODEL_FILE)
            manifest["version"], manifest["created_at"] = version, rfc3339(created)
            manifest["model_digest"] = digest
            manifest["model_sha256"] = _sha256(temporary / MODEL_FILE)
            (temporary / MANIFEST_FILE).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
            self._publish(temporary, version)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return version

    def _free_second(self, digest: str) -> datetime:
        created = datetime.now(UTC).replace(microsecond=0)
        while (self.directory / _version_name(created, digest)).exists():
            created += timedelta(seconds=1)
        return created

    def _publish(self, temporary: Path, version: str) -> None:
        for path in (temporary / MODEL_FILE, temporary / MANIFEST_FILE, temporary):
            fsync(path)
        temporary.chmod(0o755)  # mkdtemp gives 0700, but the serving user may be another one
        temporary.rename(self.directory / version)
        fsync(self.directory)

    def manifest(self, version: str) -> Manifest:
        """Read a version's manifest.

        Raises
        ------
        VersionNotFound, ArtefactDamaged
        """
        path = self.directory / version / MANIFEST_FILE
        if not _version.fullmatch(version) or not path.parent.is_dir():
            raise VersionNotFound(f"no model version {version!r} in {self.directory}")
        try:
            manifest = orjson.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ArtefactDamaged(f"{version}: the manifest cannot be read ({error})") from error
        missing = Manifest.__required_keys__ - set(manifest if isinstance(manifest, dict) else ())
        if missing:
            raise ArtefactDamaged(f"{version}: the manifest lacks {', '.join(sorted(missing))}")
        return cast(Manifest, manifest)

    def load(self, version: str) -> LoadedModel:
        """Load a version for serving, after proving that it is whole, compatible and correctly compiled.

        Raises
        ------
        VersionNotFound, ArtefactDamaged, IncompatibleModel, LabelsDiffer
        """
        manifest = self.manifest(version)
        try:
            return self._prove(manifest)
        except (LookupError, TypeError, ValueError, AttributeError) as error:  # not what a manifest holds
            raise ArtefactDamaged(f"{version}: the manifest does not describe the model ({error!r})") from error

    def _prove(self, manifest: Manifest) -> LoadedModel:
        version = manifest["version"]
        _refuse_incompatible(manifest)
        pipeline = self._read_pipeline(manifest)
        parameters = Parameters.of(pipeline)
        if parameters.digest() != manifest["model_digest"]:
            raise ArtefactDamaged(f"{version}: the model's parameters are not those in the manifest")
        scorer = CompiledScorer(parameters)
        differences = label_differences(pipeline, scorer, np.array(manifest["sample"], dtype=np.float64))
        if differences:
            raise LabelsDiffer(f"{version}: the compiled scorer differs from the pipeline on {differences} rows")
        return LoadedModel(manifest, scorer)

    def _read_pipeline(self, manifest: Manifest) -> Pipeline:
        version = manifest["version"]
        path = self.directory / version / MODEL_FILE
        try:
            found = _sha256(path)
        except OSError as error:
            raise ArtefactDamaged(f"{version}: {MODEL_FILE} cannot be read ({error})") from error
        if found != manifest["model_sha256"]:
            raise ArtefactDamaged(f"{version}: SHA-256 of {MODEL_FILE} is {found}, not {manifest['model_sha256']}")
        try:
            return joblib.load(path)
        except Exception as error:  # unpickling raises whatever the missing or changed code raises
            raise ArtefactDamaged(f"{version}: {MODEL_FILE} cannot be unpickled ({error!r})") from error

    def candidates(self) -> list[str]:
        """Versions in the order in which they should serve: the active one, then those active before it.

        When it cannot be read which is active, all versions, newest first.
        """
        try:
            record = self.active.read()
        except NoActiveModel:
            return []
        except ArtefactDamaged:
            return self.versions()[::-1]
        return list(dict.fromkeys([record["version"], *(a["version"] for a in reversed(record["history"]))]))

    def activate(self, version: str, reason: str = "") -> None:
        """Make `version` the active one, after proving that it can be served.

        Raises
        ------
        VersionNotFound, ArtefactRefused
        """
        self.load(version)
        self.active.replace(version, reason)


def _refuse_incompatible(manifest: Manifest) -> None:
    version = manifest["version"]
    made_with = manifest["libraries"]["scikit-learn"]
    if made_with.split(".")[:2] != sklearn.__version__.split(".")[:2]:
        raise IncompatibleModel(
            f"{version}: made with scikit-learn {made_with}, this is {sklearn.__version__}; retrain"
        )
    if manifest["features"] != list(DISTANCE_NAMES):
        raise IncompatibleModel(f"{version}: made for other features than this program has; retrain")


def _version_name(created: datetime, digest: str) -> str:
    return f"{created:%Y%m%dT%H%M%SZ}-{digest[:8]}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
