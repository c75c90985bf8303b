"""``python -m gateway.development``: everything on this machine, as ``make run`` does it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import click

from gateway.settings import read_settings

MONGOD_PORT = 27117
MODEL_PORT = 8001


@click.command()
@click.option("--sample", type=click.Path(exists=True, path_type=Path), default=Path("data/sample.csv"))
@click.option("--store", type=click.Path(path_type=Path), default=Path(os.environ.get("MODEL_STORE", ".data/models")))
def main(sample: Path, store: Path) -> None:
    """Train on the sample if there is no model yet, then start mongod, both tiers and the worker until Ctrl-C."""
    settings = read_settings()
    ports = {"gateway": settings.port, "model service": int(os.environ.get("MODEL_PORT", MODEL_PORT))}
    if "MONGODB_URI" not in os.environ:
        ports["mongod"] = MONGOD_PORT
    for name, port in ports.items():
        _refuse_taken(name, port)
    if not (store / "active.json").exists():
        subprocess.run([sys.executable, "-m", "model_service", "train", str(sample), "--store", str(store)], check=True)  # noqa: S603
    os.environ["PYTHONUNBUFFERED"] = "1"  # or a process's lines would show only when it ends
    honcho = [sys.executable, "-m", "honcho", "start"]
    os.execv(sys.executable, honcho)  # noqa: S606  # our own Procfile, no shell


def _refuse_taken(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise click.ClickException(
                f"port {port}, where the {name} should listen, is taken: is another 'make run' still running? "
                "Stop it, or set another port (see .env.example)."
            ) from None


if __name__ == "__main__":
    main()
