"""One version's directory: the pickled pipeline and its signed manifest, written, read and proved fit to serve.

Whatever imports scikit-learn or unpickles is elsewhere (`model_service.training.fitted`).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import orjson
from markupsafe import escape

from model_service.scoring.feature_space import FeatureSpace
from model_service.scoring.pipeline import CompiledScorer, Matrix, Parameters, label_differences
from model_service.store.errors import ArtefactDamaged, IncompatibleModel, LabelsDiffer, cause
from model_service.store.files import replace_files
from model_service.store.manifest import Manifest
from model_service.store.signatures import Signer, read_signatures, write_signatures
from shared.features import DISTANCE_NAMES

MODEL_FILE = "model.joblib"
MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.hmac"

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


def write(directory: Path, model: bytes, manifest: Manifest, signer: Signer) -> None:
    """Write the pickled pipeline and its signed manifest into `directory`; ``model_sha256`` is filled in."""
    (directory / MODEL_FILE).write_bytes(model)
    manifest["model_sha256"] = hashlib.sha256(model).hexdigest()
    content = manifest_bytes(manifest)
    (directory / MANIFEST_FILE).write_bytes(content)
    sign(directory, content, signer)


def sign(directory: Path, content: bytes, signer: Signer) -> None:
    """Sign `content` as the manifest of the version in `directory`.

    Raises
    ------
    OSError
    """
    write_signatures(directory / SIGNATURE_FILE, signer.sign("version", content))


def is_signed(directory: Path) -> bool:
    """Whether the version in `directory` has a signature, be it a bad one."""
    return (directory / SIGNATURE_FILE).exists()


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return a manifest as it is written, and signed."""
    return orjson.dumps(manifest, option=orjson.OPT_INDENT_2)


def read_manifest(directory: Path, signer: Signer) -> Manifest:
    """Read the manifest of the version in `directory`.

    Raises
    ------
    ArtefactDamaged
        when it cannot be read, is not signed or lacks a member.
    """
    content = read_bytes(directory, MANIFEST_FILE)
    manifest = parse_manifest(directory, content)  # first: half a file is damage, and nobody's forgery
    check_signature(directory, content, signer)
    return manifest


def check_signature(directory: Path, content: bytes, signer: Signer) -> None:
    """Make sure that somebody with the key has signed `content` as the manifest of the version in `directory`.

    Raises
    ------
    SignatureRefused, ArtefactDamaged
    """
    try:
        signatures = read_signatures(directory / SIGNATURE_FILE)
    except OSError as error:
        raise ArtefactDamaged(f"{SIGNATURE_FILE} of {directory.name} cannot be read ({cause(error)}).") from error
    signer.check("version", content, signatures, f"The manifest of version {directory.name}")


def read_bytes(directory: Path, name: str) -> bytes:
    """Return the content of a file of the version in `directory`.

    Raises
    ------
    ArtefactDamaged
    """
    try:
        return (directory / name).read_bytes()
    except OSError as error:
        what = "The manifest" if name == MANIFEST_FILE else name
        raise ArtefactDamaged(f"{what} of version {directory.name} cannot be read ({cause(error)}).") from error


def parse_manifest(directory: Path, content: bytes) -> Manifest:
    """Return what the manifest of the version in `directory` says.

    Raises
    ------
    ArtefactDamaged
    """
    try:
        manifest = orjson.loads(content)
    except ValueError as error:
        raise ArtefactDamaged(f"The manifest of version {directory.name} cannot be read ({cause(error)}).") from error
    missing = Manifest.__required_keys__ - set(manifest if isinstance(manifest, dict) else ())
    if missing:
        raise ArtefactDamaged(f"The manifest of version {directory.name} lacks {', '.join(sorted(missing))}.")
    if manifest["version"] != directory.name:
        raise ArtefactDamaged(f"The manifest of version {directory.name} is that of {manifest['version']}.")
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


def load(directory: Path, signer: Signer) -> LoadedModel:
    """Load the version in `directory` for serving, after proving that it is signed, whole and correctly compiled.

    Nothing is unpickled: the parameters are those of the manifest, and the proof is that they put its sample into the
    clusters into which the pipeline put it when the version was made.

    Raises
    ------
    ArtefactDamaged, IncompatibleModel, LabelsDiffer
    """
    manifest = read_manifest(directory, signer)
    with reading(directory.name):
        _refuse_incompatible(manifest)
        read_model(directory, manifest)
        return _prove(manifest)


def _refuse_incompatible(manifest: Manifest) -> None:
    removed = FeatureSpace.of(manifest["features"]).removed
    if len(removed) > MAX_REMOVED_SHARE * len(manifest["features"]):
        raise IncompatibleModel(
            f"Version {manifest['version']} was trained on features that this service does not have "
            f"({', '.join(removed)}), and too few of the others are left; train a new one."
        )


def read_model(directory: Path, manifest: Manifest) -> bytes:
    """Return the pickled pipeline, which nobody but a training and `upgrade` may unpickle.

    Raises
    ------
    ArtefactDamaged
        when its SHA-256 is not the manifest's.
    """
    content = read_bytes(directory, MODEL_FILE)
    found = hashlib.sha256(content).hexdigest()
    if found != manifest["model_sha256"]:
        raise ArtefactDamaged(
            f"The SHA-256 of {MODEL_FILE} in version {directory.name} is {found}, not {manifest['model_sha256']}."
        )
    return content


def sample_of(manifest: Manifest) -> Matrix:
    """Return the training rows that are kept for the proof, in the columns of the model, NaN for missing."""
    return np.array(manifest["sample"], dtype=np.float64).reshape(len(manifest["sample"]), len(manifest["features"]))


def _prove(manifest: Manifest) -> LoadedModel:
    version = manifest["version"]
    parameters, space = Parameters.from_json(manifest["parameters"]), FeatureSpace.of(manifest["features"])
    if parameters.digest() != manifest["model_digest"]:
        raise ArtefactDamaged(f"The parameters in the manifest of version {version} are not those of its model.")
    if len(parameters.fill) != len(set(manifest["features"])):
        raise ArtefactDamaged(f"The features of the model in version {version} are not those in its manifest.")
    sample, plain, scorer = sample_of(manifest), CompiledScorer(parameters), space.scorer(parameters)
    clusters = np.array(manifest["sample_clusters"], dtype=np.intp).reshape(len(sample))
    differences = label_differences(clusters, plain, sample)
    if not differences and space.features != DISTANCE_NAMES:  # the rows that are served have other columns
        today = space.without_removed(sample)
        differences = label_differences(plain.score(today).nearest, scorer, space.place(today))
    if differences:
        raise LabelsDiffer(
            f"The compiled scorer of version {version} disagrees with its pipeline on {differences} rows."
        )
    return LoadedModel(manifest, scorer)


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
    try:
        page = report.read_text(encoding="utf-8").replace(escape(note), escape(changed))
        replace_files(page.encode(), report)
        replace_files(orjson.dumps({**figures, "note": changed}), figures_file)  # last: until then, it is found again
    except FileNotFoundError:
        if directory.exists():
            raise
        return False  # the version was pruned meanwhile
    return True


REPORT_FILE = "report.html"
MARKETING_FILE = "marketing.html"
"""The report's other edition; it is not stored, but made when it is asked for."""
PLOT_FOLDER = "plots"
FIGURES_FILE = "figures.json"
"""In the same folder: what plots and report are drawn from."""
INDEX_FILE = "index.json"
"""In the folder of the plots: the name and title of each, in the order in which they are shown."""
