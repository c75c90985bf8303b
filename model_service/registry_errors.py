"""What can be wrong with the model store."""

from __future__ import annotations


class RegistryError(Exception):
    """Anything wrong with the model store; the message is for the operator.

    * RegistryError
      - VersionNotFound: no such version in the store
      - NoActiveModel: nothing was ever activated
      - ArtefactRefused: the version is there but must not be served
        + ArtefactDamaged: unreadable, or its SHA-256 is not the manifest's
        + IncompatibleModel: made with other features or another scikit-learn
        + LabelsDiffer: the compiled scorer does not reproduce the pipeline's labels
    """


class VersionNotFound(RegistryError):
    """No such version in the store."""


class NoActiveModel(RegistryError):
    """No model was activated yet."""


class ArtefactRefused(RegistryError):
    """The version exists but must not be served."""


class ArtefactDamaged(ArtefactRefused):
    """The version's files are unreadable or not the ones that were written."""


class IncompatibleModel(ArtefactRefused):
    """The version needs other features or another scikit-learn than this program has."""


class LabelsDiffer(ArtefactRefused):
    """The compiled scorer and the pipeline disagree."""
