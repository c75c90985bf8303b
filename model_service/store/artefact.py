"""One version's directory: the fitted pipeline and its manifest, written, read and proved fit to serve."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import joblib
import numpy as np
import orjson
import sklearn
from markupsafe import escape
from sklearn.pipeline import Pipeline

from model_service.scoring.feature_space import FeatureSpace
from model_service.scoring.pipeline import CompiledScorer, Parameters, label_differences
from model_service.store.errors import ArtefactDamaged, IncompatibleModel, LabelsDiffer, cause
from model_service.store.files import replace_files
from model_service.store.manifest import Manifest

MODEL_FILE = "model.joblib"
MANIFEST_FILE = "manifest.json"

MAX_REMOVED_SHARE = 0.5
"""Share of a model's features that may have been removed from the data dictionary since. They are taken as missing: one
moves up to 8 % of the customers (docs/clustering-study.md, §1), so it is said, and a new training mends it."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A version that passed every check and is ready to score."""

    manifest: Manifest
    scorer: CompiledScorer

    @property
    def version(self) -> str:
        """The version's name."""
        return self.manifest["version"]


def write(directory: Path, pipeline: Pipeline, manifest: Manifest) -> None:
    """Write model and manifest into `directory`; ``model_sha256`` of `manifest` is filled in."""
    joblib.dump(pipeline, directory / MODEL_FILE)
    manifest["model_sha256"] = _sha256(directory / MODEL_FILE)
    (directory / MANIFEST_FILE).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))


def read_manifest(directory: Path) -> Manifest:
    """Read the manifest of the version in `directory`.

    Raises
    ------
    ArtefactDamaged
        when it cannot be read or lacks a member.
    """
    try:
        manifest = orjson.loads((directory / MANIFEST_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise ArtefactDamaged(f"The manifest of version {directory.name} cannot be read ({cause(error)}).") from error
    missing = Manifest.__required_keys__ - set(manifest if isinstance(manifest, dict) else ())
    if missing:
        raise ArtefactDamaged(f"The manifest of version {directory.name} lacks {', '.join(sorted(missing))}.")
    return cast(Manifest, manifest)


@contextlib.contextmanager
def reading(version: str) -> Iterator[None]:
    """Take what goes wrong inside, while a manifest's members are used, for a damaged manifest.

    Raises
    ------
    ArtefactDamaged
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ArtefactDamaged(f"The manifest of version {version} does not describe its model ({error!r}).") from error


def load(directory: Path) -> LoadedModel:
    """Load the version in `directory` for serving, after proving that it is whole, compatible and correctly compiled.

    Raises
    ------
    ArtefactDamaged, IncompatibleModel, LabelsDiffer
    """
    manifest = read_manifest(directory)
    with reading(directory.name):
        if manifest["version"] != directory.name:
            raise ArtefactDamaged(f"The manifest of version {directory.name} is that of {manifest['version']}.")
        _refuse_incompatible(manifest)
        return _prove(manifest, _read_pipeline(directory, manifest))


def _refuse_incompatible(manifest: Manifest) -> None:
    version = manifest["version"]
    made_with = manifest["libraries"]["scikit-learn"]
    if made_with.split(".")[:2] != sklearn.__version__.split(".")[:2]:
        raise IncompatibleModel(
            f"Version {version} was trained with scikit-learn {made_with}, but this service runs "
            f"{sklearn.__version__}; train a new one."
        )
    removed = FeatureSpace.of(manifest["features"]).removed
    if len(removed) > MAX_REMOVED_SHARE * len(manifest["features"]):
        raise IncompatibleModel(
            f"Version {version} was trained on features that this service does not have ({', '.join(removed)}), and "
            "too few of the others are left; train a new one."
        )


def _read_pipeline(directory: Path, manifest: Manifest) -> Pipeline:
    path, version = directory / MODEL_FILE, directory.name
    try:
        found = _sha256(path)
    except OSError as error:
        raise ArtefactDamaged(f"{MODEL_FILE} of version {version} cannot be read ({cause(error)}).") from error
    if found != manifest["model_sha256"]:
        raise ArtefactDamaged(
            f"The SHA-256 of {MODEL_FILE} in version {version} is {found}, not {manifest['model_sha256']}."
        )
    try:
        return joblib.load(path)
    except Exception as error:  # unpickling raises whatever the missing or changed code raises
        raise ArtefactDamaged(f"{MODEL_FILE} of version {version} cannot be unpickled ({cause(error)}).") from error


def _prove(manifest: Manifest, pipeline: Pipeline) -> LoadedModel:
    version = manifest["version"]
    parameters, space = Parameters.of(pipeline), FeatureSpace.of(manifest["features"])
    if parameters.digest() != manifest["model_digest"]:
        raise ArtefactDamaged(f"The parameters of the model in version {version} are not those in its manifest.")
    if len(parameters.fill) != len(set(manifest["features"])):
        raise ArtefactDamaged(f"The features of the model in version {version} are not those in its manifest.")
    scorer = space.scorer(parameters)
    sample = np.array(manifest["sample"], dtype=np.float64).reshape(len(manifest["sample"]), len(space.features))
    rows = space.without_removed(sample)
    differences = label_differences(pipeline, scorer, rows, space.place(rows))
    if differences:
        raise LabelsDiffer(
            f"The compiled scorer of version {version} disagrees with its pipeline on {differences} rows."
        )
    return LoadedModel(manifest, scorer)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rewrite_note(directory: Path, change: Callable[[str], str]) -> bool:
    """Change the note of the training where a version quotes it; say whether there was anything to change.

    Versions are immutable but for this: a note may quote a customer who asks to be erased.

    Raises
    ------
    OSError
    """
    report, figures_file = directory / REPORT_FILE, directory / PLOT_FOLDER / FIGURES_FILE
    try:
        figures = orjson.loads(figures_file.read_bytes())
        note = figures["note"]
    except (FileNotFoundError, ValueError, LookupError):
        return False  # no note is quoted there
    changed = change(note)
    if changed == note:
        return False
    page = report.read_text(encoding="utf-8").replace(escape(note), escape(changed))
    replace_files(page.encode(), report)
    replace_files(orjson.dumps({**figures, "note": changed}), figures_file)  # last: until then, it is found again
    return True


REPORT_FILE = "report.html"
PLOT_FOLDER = "plots"
FIGURES_FILE = "figures.json"
"""In the same folder: what plots and report are drawn from."""
INDEX_FILE = "index.json"
"""In the folder of the plots: the name and title of each, in the order in which they are shown."""
