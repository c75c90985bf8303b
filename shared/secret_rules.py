"""What a shared secret must be (long, random and not the one of an example), and the file that it may come from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

LEAST_LENGTH: Final = 32
"""Characters of a secret; 32 random letters and digits carry 190 bits."""

DEVELOPMENT_MARK: Final = "for-development-only"
"""Part of every secret that this repository knows, so that none of them passes elsewhere."""

MODEL_SERVICE_SECRET_IN_DEVELOPMENT: Final = f"model-service-secret-{DEVELOPMENT_MARK}"
"""What the tiers show each other where nobody has set MODEL_SERVICE_SECRET, which only development lets pass."""

MODEL_SIGNING_KEY_IN_DEVELOPMENT: Final = f"model-signing-key-{DEVELOPMENT_MARK}"
"""What versions are signed with where nobody has set MODEL_SIGNING_KEY, which only development lets pass."""

_LEAST_DIFFERENT = 8
_PLACEHOLDERS = ("changeme", "secret", "example", "placeholder", "password", "foobar", "fordevelopmentonly", "12345678")


class SettingsError(Exception):
    """An environment variable has a wrong value; the message names it."""


def read_secret_file(variable: str) -> str | None:
    """Return what the file holds that the variable NAME_FILE names (secrets of Docker and Kubernetes), if it is set.

    Raises
    ------
    SettingsError
        when the file cannot be read.
    """
    file = os.environ.get(f"{variable}_FILE")
    if file is None:
        return None
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f'Environment variable "{variable}_FILE" names a file that cannot be read: {error}'
        ) from error


def secret_fault(secret: str | None) -> str | None:
    """Return why a secret is unfit for production, or None; the answer never quotes it."""
    if not secret:
        return "is missing"
    if len(secret) < LEAST_LENGTH:
        return f"is too short: {LEAST_LENGTH} characters are the least"
    letters = "".join(character for character in secret.casefold() if character.isalnum())
    # A random secret of 48 letters has one of these words in it less than once in a million times.
    if any(word in letters for word in _PLACEHOLDERS):
        return "is a placeholder: make a random one"
    if len(set(secret)) < _LEAST_DIFFERENT:
        return "repeats a few characters: make a random one"
    return None
