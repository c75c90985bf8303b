"""``drift`` and ``preview``: what a version makes of the customers in a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from model_service.settings import SettingsError, load_store_settings
from model_service.store.errors import RegistryError
from model_service.store.files import rfc3339
from model_service.training.errors import DataRefused
from shared.customer_files.columns_option import columns_option
from shared.customer_files.header import ColumnMapping
from shared.features import INPUT_NAMES
from shared.model_contract import ACTIVE

if TYPE_CHECKING:
    from model_service.scoring.pipeline import Matrix
    from model_service.scoring.predictor import Predictor
from collections.abc import Iterable, Sequence

from shared.model_contract import DistanceDrift, Drift, MixDrift, Mover, Preview, PreviewSegment

# Commands import what loads scikit-learn or pandas themselves, so that the others start at once.

_file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_in_store = click.option(
    "--store", type=click.Path(file_okay=False, path_type=Path), help="Model store; MODEL_STORE by default."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, as the HTTP interface answers it.")


@click.command()
@_file
@click.option("--version", default=ACTIVE, show_default=True, help="The version with whose training data to compare.")
@_in_store
@columns_option
@_as_json
def drift(file: Path, version: str, store: Path | None, columns: ColumnMapping | None, as_json: bool) -> None:
    """Measure whether the customers in FILE (CSV, NDJSON or Parquet) are still like those a version was trained on."""
    from model_service.analysis.drift import DriftCounter

    with _errors_shown():
        counter = DriftCounter(_predictor(store, version))
        for block, _ in _blocks(file, columns):
            counter.add(block)
    found = counter.result(rfc3339(datetime.now(UTC)))
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2) if as_json else drift_text(found))


@click.command()
@click.argument("version")
@_file
@_in_store
@columns_option
@_as_json
def preview(version: str, file: Path, store: Path | None, columns: ColumnMapping | None, as_json: bool) -> None:
    """Preview which customers in FILE (CSV, NDJSON or Parquet) would move if VERSION replaced the active one."""
    from model_service.analysis.preview import PreviewCounter

    with _errors_shown():
        counter = PreviewCounter(_predictor(store, ACTIVE), _predictor(store, version))
        for block, ids in _blocks(file, columns):
            counter.add(block, ids)
    found = counter.result(rfc3339(datetime.now(UTC)))
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2) if as_json else preview_text(found))


@contextlib.contextmanager
def _errors_shown() -> Iterator[None]:
    try:
        yield
    except (RegistryError, SettingsError, DataRefused) as error:
        raise click.ClickException(str(error)) from error


def _predictor(directory: Path | None, version: str) -> Predictor:
    from model_service.scoring.predictor import Predictor
    from model_service.store.artefact import reading
    from model_service.store.registry import open_store

    store = open_store(load_store_settings(), directory)
    name = store.active.read()["version"] if version == ACTIVE else version
    model = store.load(name)
    with reading(name):
        return Predictor(model, store.labels.usable())


def _blocks(file: Path, columns: ColumnMapping | None) -> Iterator[tuple[dict[str, Matrix], Sequence[str] | None]]:
    """Yield the faultless customers in `file`, by column and with their ids, and name the others on standard error."""
    from model_service.training.dataset import FileOfCustomers

    customers = FileOfCustomers(file, columns)
    for rows in customers.batches():
        yield dict(zip(INPUT_NAMES, rows.columns, strict=True)), rows.ids
    for note in customers.notes:
        click.echo(f"note: {note}", err=True)


def drift_text(drift: Drift) -> str:
    """Return the verdict, the features from the most shifted on, the mix of segments and the remarks."""
    verdict = drift["verdict"].replace("_", " ")
    parts = [f"{drift['rows']:,} customers compared with the training data of {drift['model_version']}: {verdict}"]
    if drift["features"]:
        rows = [[f["feature"], f"{f['psi']:.4f}", f"{f['limit']:.4f}", f["tier"]] for f in drift["features"]]
        parts.append(_table(["feature", "psi", "chance", "tier"], rows))
    if drift["segment_mix"]:
        parts.append(_mix_text(drift["segment_mix"]))
    if drift["distance"]:
        parts.append(_distance_text(drift["distance"]))
    return "\n\n".join([*parts, _list(drift["remarks"])])


def preview_text(preview: Preview) -> str:
    """Return who goes where, whom it affects most, and the remarks."""
    heading = f"{preview['rows']:,} customers if {preview['candidate']} replaces {preview['active']}"
    parts = [heading, _names(preview["before"], preview["after"]), _matrix(preview)]
    if preview["customers"]:
        head = ["most affected", "before", "confidence", "after", "confidence", "balance", "limit"]
        parts.append(_table(head, [_mover(m) for m in preview["customers"]]))
    return "\n\n".join([*parts, _list(preview.get("remarks", []))])


def _mix_text(mix: MixDrift) -> str:
    rows = [[identity, f"{share:.1%}", f"{mix['now'][identity]:.1%}"] for identity, share in mix["training"].items()]
    table = _table(["segment", "training", "now"], rows)
    return f"{table}\nmix of segments: psi {mix['psi']:.4f}, chance {mix['limit']:.4f}, {mix['tier']}"


def _distance_text(distance: DistanceDrift) -> str:
    return (
        f"distance to the segment's centroid: median {distance['median']:.2f} ({distance['training_median']:.2f} in "
        f"training); {distance['beyond_limit']:.2%} lie beyond the distance that 0.10% exceeded in training"
    )


def _names(before: Iterable[PreviewSegment], after: Iterable[PreviewSegment]) -> str:
    # Of a segment that both versions have, the candidate's name is shown.
    segments = {s["id"]: s for s in [*before, *after]}
    return "\n".join(f"{s['id']}  {s['name']}  ({s['status']})" for s in segments.values())


def _matrix(preview: Preview) -> str:
    rows = [
        [segment["id"], *(f"{count:,}" if count else "." for count in counts)]
        for segment, counts in zip(preview["before"], preview["transitions"], strict=True)
    ]
    return _table(["before / after", *(s["id"] for s in preview["after"])], rows)


def _mover(mover: Mover) -> list[str]:
    limit = mover["credit_limit"]
    return [
        mover["CUST_ID"] or "(no id)",
        mover["before"],
        f"{mover['confidence_before']:.2f}",
        mover["after"],
        f"{mover['confidence_after']:.2f}",
        f"{mover['balance']:,.2f}",
        "-" if limit is None else f"{limit:,.0f}",
    ]


def _list(remarks: Iterable[str]) -> str:
    return "\n".join(f"- {remark}" for remark in remarks)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in [head, *rows])
    return "\n".join("  ".join(line) for line in lines)
