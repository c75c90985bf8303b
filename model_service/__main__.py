"""Command line: ``python -m model_service train CSV`` and ``python -m model_service serve``.

``serve`` runs uvicorn (`model_service.server`); for gunicorn see `model_service.gunicorn_conf`.
"""

from __future__ import annotations

import gc
import os

import click

from model_service.commands import models, upkeep
from model_service.commands.analysis import drift, preview
from model_service.commands.trainings import train
from model_service.settings import SettingsError, load_server_settings
from shared.metrics.folder import make_metrics_folder
from shared.telemetry.logs import before_settings


@click.group()
def main() -> None:
    """Train, manage and serve the customer segmentation model."""


@main.command()
@click.option("--host", help="Address to listen on; MODEL_HOST by default.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; MODEL_PORT by default.")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes; MODEL_WORKERS by default.")
def serve(host: str | None, port: int | None, workers: int | None) -> None:
    """Serve the active model over HTTP."""
    make_metrics_folder("model-service")
    gc.disable()  # nothing is garbage while it loads, and looking for some would take a tenth of the start
    from model_service.server import run  # imported here because training needs no web framework

    gc.enable()
    before_settings()
    given = {"MODEL_HOST": host, "MODEL_PORT": port, "MODEL_WORKERS": workers}
    os.environ.update({name: str(value) for name, value in given.items() if value is not None})
    try:
        settings = load_server_settings()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    run(settings)


for command in (train, drift, preview, *models.COMMANDS, *upkeep.COMMANDS):
    main.add_command(command)

if __name__ == "__main__":
    main()
