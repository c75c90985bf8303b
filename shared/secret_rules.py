"""What a shared secret must be: here, because both tiers must refuse the same ones."""

from __future__ import annotations

from typing import Final

LEAST_LENGTH: Final = 32
"""Characters of a secret; 32 random letters and digits carry 190 bits."""

DEVELOPMENT_MARK: Final = "for-development-only"
"""Part of every secret that this repository knows, so that none of them passes elsewhere."""

MODEL_SERVICE_SECRET_IN_DEVELOPMENT: Final = f"model-service-secret-{DEVELOPMENT_MARK}"
"""What the tiers show each other where nobody has set MODEL_SERVICE_SECRET, which only development lets pass."""

_LEAST_DIFFERENT = 8
_PLACEHOLDERS = ("changeme", "secret", "example", "placeholder", "password", "foobar", "fordevelopmentonly", "12345678")


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
