"""The gateway's command line: ``python -m gateway --help``."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path
from types import FrameType

import click
from environs import EnvError
from flask import Flask
from tqdm import tqdm

from gateway import request_log
from gateway.development import mongod
from gateway.development.ports import refuse_taken
from gateway.schemas.tabular import CsvCustomers
from gateway.services.errors import InvalidInput
from gateway.services.imports import ImportService, Interrupted, Receipt
from gateway.settings import Settings, read_settings
from gateway.wiring import Services, build_services
from gateway.worker import work

ROWS_REJECTED = 3
"""Exit status of an import that stored what it could and refused some rows."""


@click.group(help="Customers and their segments: the gateway, its worker and its tools.")
def main() -> None:
    """Run one of the commands."""


def _settings() -> Settings:
    try:
        return read_settings()
    except (EnvError, OSError) as error:
        raise click.ClickException(f"wrong setting: {error}") from error


def _services(settings: Settings) -> Services:
    request_log.configure(settings.log_level)
    return build_services(Flask("gateway"), settings)


@main.command()
def serve() -> None:
    """Serve the REST API (granian; gunicorn works too: see the README)."""
    settings = _settings()
    refuse_taken("gateway", settings.host, settings.port)
    options = {
        "interface": "wsgi",
        "host": settings.host,
        "port": settings.port,
        "workers": settings.workers,
        "blocking-threads": settings.threads,
        "log-level": "warning",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    flags = ["--no-ws", "--respawn-failed-workers", "--factory"]
    os.execv(sys.executable, [sys.executable, "-m", "granian", *words, *flags, "gateway.app:create_app"])  # noqa: S606


@main.command()
def worker() -> None:
    """Assign customers that have no segment of the active model yet, for ever."""
    settings = _settings()
    # As the first process of a container it would ignore SIGTERM without a handler. Stopping anywhere is safe.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    work(_services(settings).reconciler, settings.worker_interval, settings.worker_heartbeat)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):  # Ctrl-C under honcho sends both; one is enough
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


@main.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the receipt as JSON.")
def import_(file: Path, as_json: bool) -> None:
    """Store the customers of a CSV FILE of any size with their segments, and print a receipt.

    A customer that exists is updated if anything differs. Bad rows are listed and do not stop the good ones; the
    exit status is then 3. After an interruption, import the same file again: what is stored counts as unchanged.
    """
    receipt = import_file(_services(_settings()).imports, file)
    click.echo(json.dumps(asdict(receipt) | {"rows": receipt.rows}) if as_json else _receipt(receipt))
    if receipt.rejected:
        sys.exit(ROWS_REJECTED)


def import_file(imports: ImportService, file: Path) -> Receipt:
    """Import a CSV file with a progress bar over its bytes.

    Raises
    ------
    click.ClickException
        when the header does not fit or the database fails midway; the message says what was stored.
    """
    raw = file.open("rb")
    with raw, TextIOWrapper(raw, encoding="utf-8", errors="replace", newline="") as text:
        size = file.stat().st_size
        with tqdm(total=size, unit="B", unit_scale=True, desc=file.name, disable=None) as bar:
            receipt = Receipt()

            def show(so_far: Receipt) -> None:
                bar.update(raw.tell() - bar.n)
                bar.set_postfix(rows=so_far.rows, rejected=so_far.rejected)

            try:
                customers = CsvCustomers(text)
                receipt.ignored_columns = customers.ignored_columns
                return imports.run(customers.batches(), receipt, show)
            except Interrupted as error:
                raise click.ClickException(f"{error}\n{_receipt(error.receipt)}") from error
            except InvalidInput as error:
                raise click.ClickException(str(error)) from error


def _receipt(receipt: Receipt) -> str:
    lines = [f"{receipt.rows} rows: {receipt.created} created, {receipt.updated} updated, "]
    lines[0] += f"{receipt.unchanged} unchanged, {receipt.rejected} rejected"
    if receipt.pending:
        lines.append(f"{receipt.pending} have no segment yet: the model service is away; the worker assigns them later")
    if receipt.ignored_columns:
        lines.append(f"ignored columns: {', '.join(receipt.ignored_columns)}")
    lines += [
        f"  line {fault['line']}, {fault['column'] or 'whole row'}: {fault['detail']}" for fault in receipt.errors
    ]
    if receipt.rejected and len(receipt.errors) < receipt.rejected:
        lines.append("  … and more: only the first are listed")
    return "\n".join(lines)


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
