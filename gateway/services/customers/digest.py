"""The keyed hash that stands for a CUST_ID where it must not; a module because the log and erasures share it."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Literal

LOG_DIGITS = 16
"""Hexadecimal digits of a hash in the log: the odds that two of 100 million customers share one are 1 in 3,700."""


def keyed_digest(secret: str, purpose: Literal["erasure", "log", "webhooks"], cust_id: str) -> str:
    """Return the hash of a CUST_ID; hashes for different purposes cannot be brought together without the secret."""
    return hmac.digest(secret.encode(), f"{purpose}:{cust_id}".encode(), "sha256").hex()


def log_digest(secret: str) -> Callable[[str], str]:
    """Return what makes the hash of a CUST_ID that stands in the log."""
    return lambda cust_id: keyed_digest(secret, "log", cust_id)[:LOG_DIGITS]
