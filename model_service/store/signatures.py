"""Signatures: whoever can write the model store, but does not know the key, cannot put anything in force.

HMAC-SHA-256 over what is to be trusted and what it is, so that a signature holds for nothing else:

* a version: the bytes of its manifest, which holds its name, its parameters and the SHA-256 of the pickled pipeline;
* an activation: its entry in the history and the signature of the one before, so that none can be changed, moved or
  left out;
* people's names for segments: the bytes of their file.

A signature does not say that there is nothing newer. So a process that has followed an activation refuses a history
that lacks it (`model_service.active_model`); one that starts cannot know.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from model_service.store.errors import SignatureRefused
from model_service.store.files import replace_files
from shared.secret_rules import MODEL_SIGNING_KEY_IN_DEVELOPMENT

Kind = Literal["version", "activation", "labels"]
"""What is signed."""


class Signer:
    """Signs with `key`, and takes signatures of `key` and of the `former` key.

    Attributes
    ----------
    on_refusal : called whenever a signature is refused.
    """

    def __init__(self, key: str, former: str | None = None, on_refusal: Callable[[], object] = lambda: None) -> None:
        self._keys = [text.encode() for text in (key, former) if text]
        self.on_refusal = on_refusal

    def sign(self, kind: Kind, content: bytes) -> str:
        """Return the signature of `content`, hexadecimal."""
        return self._signature(self._keys[0], kind, content)

    def check(self, kind: Kind, content: bytes, signatures: Iterable[str], what: str) -> str:
        """Return the one of the `signatures` that is good; `what` names the content to the operator.

        Raises
        ------
        SignatureRefused
        """
        given = [signature.encode() for signature in signatures]
        for key in self._keys:
            expected = self._signature(key, kind, content)
            if any(hmac.compare_digest(expected.encode(), signature) for signature in given):
                return expected
        raise self.refusal(
            f"{what} was altered, or signed with another key than MODEL_SIGNING_KEY."
            if given
            else f"{what} is not signed; python -m model_service upgrade takes over a store of before signatures."
        )

    def refusal(self, reason: str) -> SignatureRefused:
        """Return the error that is to be raised, and tell of it, when a signature does not vouch for something."""
        self.on_refusal()
        return SignatureRefused(reason)

    @staticmethod
    def _signature(key: bytes, kind: Kind, content: bytes) -> str:
        return hmac.digest(key, kind.encode() + b"\n" + content, "sha256").hex()


IN_DEVELOPMENT = Signer(MODEL_SIGNING_KEY_IN_DEVELOPMENT)
"""Whose key everybody knows; production refuses it."""


def read_signatures(file: Path) -> list[str]:
    """Return the signatures in a file, one a line; none when it is not there.

    Raises
    ------
    OSError
    """
    try:
        return file.read_text(encoding="ascii", errors="replace").split()
    except FileNotFoundError:
        return []


def write_signatures(file: Path, *signatures: str) -> None:
    """Replace the signatures in a file at once.

    Raises
    ------
    OSError
    """
    replace_files("".join(f"{signature}\n" for signature in signatures).encode(), file)
