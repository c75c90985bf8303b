"""What opens the system of ``make run``: made once, kept in .data/, for the eyes of its owner only."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import click
import requests

from gateway.services.access.api_keys import parse_key

DATA = Path(".data")
SECRET_KEY = DATA / "gateway_secret_key"
API_KEY = DATA / "api_key"


def kept_secret(file: Path = SECRET_KEY) -> Path:
    """Make a random secret, unless the file holds one already; return the file."""
    if not file.is_file() or not file.read_text(encoding="utf-8").strip():
        _write(file, secrets.token_urlsafe(36))
    return file


def working_key(session: requests.Session, base: str, file: Path = API_KEY) -> str:
    """Return the API key in the file, or make one that works if that does not.

    Another database, or somebody's revocation, is enough for a key to stop working.

    Raises
    ------
    click.ClickException
        when none can be made.
    """
    if file.is_file() and _opens(session, base, key := file.read_text(encoding="utf-8").strip()):
        return key
    command = [sys.executable, "-m", "gateway", "keys", "create", "--name", "make run", "--scope", "admin"]
    made = subprocess.run(command, capture_output=True, text=True)  # noqa: S603  # ourselves
    if made.returncode:
        raise click.ClickException(f"no API key could be made: {made.stderr.strip()}")
    _write(file, key := made.stdout.strip())
    return key


def one_time_address(base: str, key: str) -> str:
    """Return an address that signs a browser in with the key, once.

    Raises
    ------
    click.ClickException
        when none can be made.
    """
    parsed = parse_key(key)
    assert parsed is not None  # it has opened something
    options = ["--key", parsed[0], "--minutes", "60", "--address", base]
    made = subprocess.run([sys.executable, "-m", "gateway", "sign-in", *options], capture_output=True, text=True)  # noqa: S603  # ourselves
    if made.returncode:
        raise click.ClickException(f"no address that signs in could be made: {made.stderr.strip()}")
    return made.stdout.strip()


def _opens(session: requests.Session, base: str, key: str) -> bool:
    headers = {"Authorization": f"Bearer {key}"}
    return session.get(f"{base}/api/v1/api-keys", params={"limit": 1}, headers=headers, timeout=10).ok


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)  # the mode holds for a new file only
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(f"{text}\n")
