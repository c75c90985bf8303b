"""Secrets: random ones pass, those that people leave as they are or make up do not."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable

import pytest

from shared.secret_rules import DEVELOPMENT_MARK, LEAST_LENGTH, secret_fault


@pytest.mark.parametrize(
    "make",
    [bytes.hex, lambda random: base64.b64encode(random).decode(), lambda random: base64.b85encode(random).decode()],
    ids=["hex", "base64", "base85"],
)
def test_random_secrets_pass(make: Callable[[bytes], str]) -> None:
    assert {secret_fault(make(secrets.token_bytes(36))) for _ in range(200)} == {None}


@pytest.mark.parametrize("secret", [None, ""])
def test_none_is_missing(secret: str | None) -> None:
    assert secret_fault(secret) == "is missing"


def test_short_ones_are_refused() -> None:
    assert "too short" in (secret_fault("dC9sQm3bYb1Zk7vJx2TqLw8RnHfGp5A"[: LEAST_LENGTH - 1]) or "")


@pytest.mark.parametrize(
    "secret",
    [
        "change-me-change-me-change-me-change-me",
        "Change_Me_4d9Qm3bYb1Zk7vJx2TqLw8RnHfGp5Ae",
        "this-is-a-very-secret-key-for-the-gateway",
        "example-4d9Qm3bYb1Zk7vJx2TqLw8RnHfGp5Ae",
        "12345678901234567890123456789012",
        f"anything at all, {DEVELOPMENT_MARK}, anything",
    ],
)
def test_placeholders_are_refused(secret: str) -> None:
    assert "placeholder" in (secret_fault(secret) or "")


@pytest.mark.parametrize("secret", ["a" * 40, "abcabcabc" * 6])
def test_repetitions_are_refused(secret: str) -> None:
    assert "repeats" in (secret_fault(secret) or "")
