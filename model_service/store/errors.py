"""What can be wrong with the model store and with its trainings."""

from __future__ import annotations

from collections.abc import Sequence

from shared.model_contract import GateCheck
from shared.problems import FieldError


def cause(error: Exception) -> str:
    """Return what went wrong without where files lie, which concerns no client; it is in the chained error."""
    if isinstance(error, RegistryError):
        return str(error).rstrip(".")
    return (isinstance(error, OSError) and error.strerror) or f"{type(error).__name__}: {error}"


class RegistryError(Exception):
    """Anything wrong with the model store; the message is for the operator.

    * RegistryError
      - VersionNotFound: no such version in the store
      - SegmentNotFound: no stored version has such a segment
      - NoActiveModel: nothing was ever activated
      - NothingToRollBack: no version was active before this one
      - GateRefused: the version is worse than the active one
      - ReasonRequired: the gate is overruled only with a reason
      - NameTaken: another segment has this name
      - LabelChanged: somebody has changed the segment's label meanwhile
      - LabelsDamaged: the segments' labels cannot be read
      - NoEvidence: the version is too old to have statistics of its training customers
      - TrainingRunning: another training has not ended
      - TrainingNotFound: no training with this id is on record
      - TrainingEnded: the training cannot be cancelled any more
      - StoreNotWritable: the disk is full, read-only, or another user's
      - ArtefactRefused: the version is there but must not be served
        + ArtefactDamaged: unreadable, or its SHA-256 is not the manifest's
          * SignatureRefused: not signed, or not with the service's key, or altered since
        + IncompatibleModel: made with other features; to be unpickled, with another scikit-learn
        + LabelsDiffer: the compiled scorer does not reproduce the pipeline's labels

    Attributes
    ----------
    errors : what exactly was refused, where there is more to say than the message.
    """

    errors: Sequence[FieldError] | None = None


class VersionNotFound(RegistryError):
    """No such version in the store."""


class SegmentNotFound(RegistryError):
    """No stored version has a segment with this id."""


class NoActiveModel(RegistryError):
    """No model was activated yet."""


class NothingToRollBack(RegistryError):
    """No version was active before this one."""


class GateRefused(RegistryError):
    """The version may not replace the active one unless it is forced.

    Attributes
    ----------
    checks : those that failed.
    """

    def __init__(self, version: str, checks: Sequence[GateCheck]) -> None:
        reasons = "; ".join(f"{c['check']}: {c['detail']}" for c in checks)
        super().__init__(f"Version {version} may not become the active one: {reasons}.")
        self.checks = list(checks)
        self.errors = [FieldError(pointer=f"/checks/{c['check']}", detail=c["detail"]) for c in checks]


class ReasonRequired(RegistryError):
    """Who overrules the gate must say why."""

    def __init__(self) -> None:
        super().__init__("A forced activation needs a reason.")
        self.errors = [FieldError(pointer="/reason", detail="is required when force is true")]


class NameTaken(RegistryError):
    """Another segment has this name."""


class LabelChanged(RegistryError):
    """Somebody has changed the segment's label since the caller read it."""


class LabelsDamaged(RegistryError):
    """The segments' labels cannot be read."""


class NoEvidence(RegistryError):
    """The version has no statistics of its training customers."""


class TrainingRunning(RegistryError):
    """Another training has not ended."""


class StoreNotWritable(RegistryError):
    """The store cannot be written: the disk is full or read-only, or the directory belongs to another user."""


class ArtefactRefused(RegistryError):
    """The version exists but must not be served."""


class ArtefactDamaged(ArtefactRefused):
    """The version's files are unreadable or not the ones that were written."""


class SignatureRefused(ArtefactDamaged):
    """Nobody who knows the service's key has signed the version, the history or the labels as they are."""


class IncompatibleModel(ArtefactRefused):
    """The version needs other features than this program has or, to be unpickled, another scikit-learn."""


class LabelsDiffer(ArtefactRefused):
    """The compiled scorer and the pipeline disagree."""


class TrainingNotFound(RegistryError):
    """No training with this id is on record."""


class TrainingEnded(RegistryError):
    """The training cannot be cancelled any more."""
