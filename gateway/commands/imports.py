"""``python -m gateway import``: a file into the database, without the detour over HTTP."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import click
import orjson
from flask import Flask
from tqdm import tqdm

from gateway import wiring
from gateway.app import collect_seldom
from gateway.commands import end_without_replica_set, settings_or_end
from gateway.files.reader import CustomerFile
from gateway.services.errors import ImportInterrupted, MirrorRefused, SegmentationError
from gateway.services.imports.imports import ImportOptions, ImportService
from gateway.services.imports.records import Import, ImportMode
from gateway.services.principal import COMMAND_LINE
from shared.customer_files.columns_option import columns_option
from shared.customer_files.header import ColumnMapping, renamed
from shared.customer_files.reader import media_type_of
from shared.telemetry import logs

ROWS_REJECTED = 3
"""Exit status of an import that stored what it could and refused some rows."""
_PIECE = 256 * 1024
_MODES = [mode.value for mode in ImportMode]


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--mode", type=click.Choice([mode.value for mode in ImportMode]), default=ImportMode.UPSERT.value, show_default=True
)
@click.option("--dry-run", is_flag=True, help="Do everything but write, and say what would happen.")
@click.option(
    "--confirm-missing",
    type=click.IntRange(0),
    help="With --mode mirror: how many stored customers are missing in the file, as --dry-run tells.",
)
@columns_option
@click.option("--json", "as_json", is_flag=True, help="Print the receipt as JSON.")
def import_(
    file: Path,
    mode: str,
    dry_run: bool,
    confirm_missing: int | None,
    columns: ColumnMapping | None,
    as_json: bool,
) -> None:
    """Store the customers of a FILE of any size with their segments, and print a receipt.

    CSV, NDJSON (.ndjson, .jsonl) or Parquet, by its name and its first bytes. A customer that exists is updated if
    anything differs; with --mode insert it stays as it is; --mode mirror also deletes, restorably, whom the file does
    not have, more than 5% of the stored customers only with --confirm-missing. Bad rows are listed and do not stop the
    good ones; the exit status is then 3. After an interruption, import the same file again: what is stored counts as
    unchanged.
    """
    if confirm_missing is not None and mode != ImportMode.MIRROR:
        raise click.UsageError("--confirm-missing is for --mode mirror")
    collect_seldom()
    settings = settings_or_end()
    end_without_replica_set(settings)
    logs.configure(settings.log_level, settings.log_format)
    imports = wiring.build_services(Flask("gateway"), settings).imports
    name = os.fsencode(file.name).decode("utf-8", "replace")  # in a file system of another encoding it is no UTF-8
    order = ImportOptions(ImportMode(mode), dry_run, name, file.stat().st_size, confirm_missing)
    receipt = import_file(imports, file, order, settings.upload_folder, columns)
    click.echo(orjson.dumps(receipt, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z) if as_json else described(receipt))
    if receipt["rejected"]:
        sys.exit(ROWS_REJECTED)


def import_file(
    imports: ImportService,
    file: Path,
    order: ImportOptions,
    folder: Path | None = None,
    columns: ColumnMapping | None = None,
) -> Import:
    """Import a file with a progress bar over its bytes.

    Raises
    ------
    click.ClickException
        when the file does not fit or the database fails midway; the message says what was stored.
    """
    bar = tqdm(total=order.size, unit="B", unit_scale=True, desc=file.name, disable=None)
    try:
        with (
            file.open("rb") as raw,
            bar,
            closing(CustomerFile(media_type_of(file), _pieces(raw), folder, columns)) as source,
        ):
            run = imports.begin(source, order, COMMAND_LINE)
            for record in run.progress():
                bar.update(record["bytes"] - bar.n)
                bar.set_postfix(rows=record["rows"], rejected=record["rejected"])
            run.check()
    except (ImportInterrupted, MirrorRefused) as error:
        raise click.ClickException(f"{error}\n{described(run.record)}") from error
    except SegmentationError as error:
        raise click.ClickException(str(error)) from error
    return run.record


def described(receipt: Import) -> str:
    """Return a receipt in words."""
    would = "would be " if receipt["dry_run"] else ""
    counts = [f"{receipt[name]} {would}{name}" for name in ("created", "updated", "unchanged", "rejected")]
    lines = [f"{receipt['rows']} rows: {', '.join(counts)}"]
    if receipt["status"] != "completed":
        lines.append(f"{receipt['status']}: {receipt['reason']}")
    if receipt["pending"]:
        away = "the model service is unavailable; the worker assigns them later"
        lines.append(f"{receipt['pending']} have no segment yet: {away}")
    lines += _remarks(receipt)
    lines += [f"{column} is read from {written!r}" for column, written in renamed(receipt["columns"])]
    if receipt["ignored_columns"]:
        lines.append(f"ignored columns: {', '.join(receipt['ignored_columns'])}")
    if receipt["blank_rows"]:
        lines.append(f"blank rows, skipped: {receipt['blank_rows']}")
    if receipt["missing_words"]:
        words = ", ".join(f"{word} ({count})" for word, count in sorted(receipt["missing_words"].items()))
        lines.append(f"words for missing values: {words}")
    lines += [f"  line {f['line']}, {f['column'] or 'whole row'}: {f['detail']}" for f in receipt["errors"]]
    if len(receipt["errors"]) < receipt["faults"]:
        lines.append("  … and more: only the first are listed")
    return "\n".join(lines)


def _remarks(receipt: Import) -> Iterator[str]:
    """Yield what stands out in a file beside its faults."""
    for warning in receipt["warnings"]:
        columns = ", ".join(f"{found['column']} {found['count']}" for found in warning["columns"] if found["column"])
        first = warning["examples"][0]
        where = "" if first["line"] is None else f"line {first['line']}: "
        yield f"warning {warning['code']}: {warning['count']} ({columns or 'file'}), first {where}{first['detail']}"
    if mirror := receipt["mirror"]:
        done = f"{receipt['deleted']} {'would be' if receipt['dry_run'] else 'were'} deleted"
        yield f"{mirror['missing']} of {mirror['stored']} stored customers are missing in the file, {done}"
        if receipt["dry_run"] and (mirror["confirmation_needed"] or mirror["refused"]):
            yield f"  {mirror['refused'] or 'needs --confirm-missing ' + str(mirror['missing'])}"
    changes = receipt["segment_changes"]
    if changes["count"] or changes["unknown"]:
        unknown = f"; of {changes['unknown']} it is not known" if changes["unknown"] else ""
        verb = "would change" if receipt["dry_run"] else "change"
        yield f"{changes['count']} stored customers {verb} their segment{unknown}"
    if drift := receipt["drift"]:
        yield f"drift against the training data of {drift['model_version']}: {drift['verdict']}"
        if drift["verdict"] != "stable":
            yield from (f"  {remark}" for remark in drift["remarks"])
    elif receipt["drift_unavailable"]:
        yield f"drift is not known: {receipt['drift_unavailable']}"


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece
