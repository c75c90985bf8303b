"""The gateway's command line: ``python -m gateway --help``."""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path
from types import FrameType

import click
from flask import Flask

from gateway.commands import end_without_replica_set, refuse_taken, settings_or_end
from gateway.commands.backups import backup, erasures, restore
from gateway.commands.digest import digest
from gateway.commands.imports import import_
from gateway.commands.keys import keys
from gateway.commands.sign_in import sign_in
from gateway.development import mongod
from gateway.services.access.concurrency import concurrency_limits
from gateway.services.events.relay import RELAY_SECONDS
from gateway.services.models.segment_counting import LOOK_SECONDS
from gateway.services.webhooks.deliveries import LOOK_SECONDS as DELIVERY_SECONDS
from gateway.settings import Settings
from gateway.wiring import Services, build_services
from gateway.worker import Beside, Counted, Duty, work
from gateway.worker_metrics import LOOK_SECONDS as FIGURES_SECONDS
from gateway.worker_metrics import Figures, serve_metrics
from shared.metrics.folder import make_metrics_folder
from shared.telemetry import logs, traces

HEADER_SECONDS = 10
"""Longest wait for a request's headers, and for the next request on a connection; granian's own limit is 30."""

MOST_CONNECTIONS = 16_384
"""Connections of a process, idle and silent ones included; granian's own limit is 1,024. Each costs some 10 kB."""


@click.group(help="Customers and their segments: the gateway, its worker and its tools.")
def main() -> None:
    """Run one of the commands."""


for command in (keys, sign_in, import_, digest, backup, restore, erasures):
    main.add_command(command)


def _services(settings: Settings) -> Services:
    return build_services(Flask("gateway"), settings)


@main.command()
def serve() -> None:
    """Serve the REST API under granian, or behind proxies (TRUSTED_PROXIES) under gunicorn.

    What proxies say counts only as long as a client cannot say it as well; see docs/operations.md.
    """
    logs.before_settings()
    settings = settings_or_end()
    refuse_taken("gateway", settings.host, settings.port)
    end_without_replica_set(settings)
    os.environ[logs.LOG_FORMAT] = settings.log_format  # for granian's own lines
    make_metrics_folder("gateway")
    command = _gunicorn() if settings.trusted_proxies else _granian(settings)
    os.execv(sys.executable, [sys.executable, "-m", *command])  # noqa: S606


def _granian(settings: Settings) -> list[str]:
    options = {
        "interface": "wsgi",
        "host": settings.host,
        "port": settings.port,
        "workers": settings.workers,
        "blocking-threads": concurrency_limits(settings.threads).threads,
        "backpressure": _connections(),
        "http1-header-read-timeout": HEADER_SECONDS * 1000,
        "log-config": Path(__file__).with_name("granian_log.json"),
        "log-level": "error",  # it would warn of more threads than twice the processors
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    flags = ["--http", "1", "--no-ws", "--respawn-failed-workers", "--factory"]
    return ["granian", *words, *flags, "gateway.granian_app:create_app"]


def _gunicorn() -> list[str]:
    """Return the server that tells ``X_Forwarded_For`` from ``X-Forwarded-For``; of both, granian gives us the last."""
    return ["gunicorn", "-c", "python:gateway.gunicorn_conf", "gateway.app:create_app()"]


def _connections() -> int:
    """Return how many connections a process may hold open, after allowing as many files as the system lets it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return min(MOST_CONNECTIONS, most // 2) if most != resource.RLIM_INFINITY else MOST_CONNECTIONS


@main.command()
def worker() -> None:
    """Move changes into the log, deliver them, assign customers to the active model's segments, for ever."""
    logs.before_settings()
    settings = settings_or_end()
    logs.own_process(settings.log_level, settings.log_format)
    traces.begin("worker")
    # As the first process of a container it would ignore SIGTERM without a handler. Stopping anywhere is safe.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    end_without_replica_set(settings)
    services = _services(settings)
    of = services.segments
    figures = Figures(services.assignments.status, of.sizes, of.descriptions, services.audit, services.models.drift)
    duties: list[Duty] = [
        _beside(services.schema_upkeep, "schema"),
        _beside(services.relay, "relay", every=RELAY_SECONDS),
        _beside(of.counting, "segment-counting", every=LOOK_SECONDS),
        _beside(of.upkeep, "description"),
        _beside(services.models.drift, "drift"),
        _beside(services.events.deliveries, "webhooks", every=DELIVERY_SECONDS),
        _beside(figures, "metrics", every=FIGURES_SECONDS),
        Counted(services.imports, "imports"),
        Counted(services.erasures, "erasures"),
        Counted(services.assignments.reconciler, "assignments"),
        Counted(services.models.history, "model-history"),
    ]
    if settings.metrics_port is not None:
        refuse_taken("metrics", settings.host, settings.metrics_port)
        serve_metrics(settings.host, settings.metrics_port, figures)
    work(duties, settings.worker_interval, settings.worker_heartbeat)


def _beside(duty: Duty, name: str, every: float | None = None) -> Duty:
    return Beside(Counted(duty, name), name, every)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):  # Ctrl-C under honcho sends both; one is enough
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


@main.command("mongod")
@click.option("--data", type=click.Path(path_type=Path), default=Path(".data/mongo"), show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), envvar="MONGOD_PORT", default=27117, show_default=True)
def mongod_(data: Path, port: int) -> None:
    """Run a real mongod for development; with MONGODB_URI set, only wait, since another server is used."""
    if "MONGODB_URI" in os.environ:
        click.echo("MONGODB_URI is set: no mongod is started")
        signal.pause()
    refuse_taken("mongod", "127.0.0.1", port)
    try:
        mongod.run(data, port)
    except mongod.MongodMissing as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
