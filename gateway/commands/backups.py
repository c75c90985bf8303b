"""``python -m gateway backup`` and ``restore``, and ``erasures``: the list of them that a restore needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import click
import orjson
from flask import Flask
from pymongo.database import Database
from tqdm import tqdm

from gateway import stores, wiring
from gateway.commands import end_without_replica_set, settings_or_end
from gateway.services.backups import BackupError, ErasedCustomer, LaterErasures, Progress
from gateway.services.customers.digest import keyed_digest
from gateway.services.errors import SegmentationError
from gateway.services.events.change import Origin, Subject
from gateway.services.events.recorder import entry_of
from gateway.services.principal import COMMAND_LINE
from gateway.settings import Settings
from shared.telemetry import logs

_OPERATION_SECONDS = 60.0
"""For each read and write: a request could not wait so long, but nobody waits here."""
_PAGE = 500


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def backup(folder: Path) -> None:
    """Write a backup of the database into a new FOLDER, while everything runs.

    All collections as they were at one moment, with a manifest of counts and digests. The folder gets its name when the
    backup is complete; what was broken off is called FOLDER.partial, and the next run begins anew. It has personal data
    and is readable by its owner alone: encrypt what leaves the machine. The model store is backed up by
    `python -m model_service backup`, after this.
    """
    settings = settings_or_end()
    end_without_replica_set(settings)
    with _database(settings) as database:
        taken = stores.backup(database, settings)
        with _bar(taken.documents(), "documents") as progress:
            manifest = taken.write(folder, progress)
        if others := taken.others():
            click.echo(f"not in the backup, because nothing here uses them: {', '.join(others)}", err=True)
    documents = sum(part["documents"] for part in manifest["collections"].values())
    size = sum(part["bytes"] for part in manifest["collections"].values())
    click.echo(f"{folder}: {documents} documents of {manifest['taken_at']:%Y-%m-%d %H:%M:%S} UTC, {size} bytes")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--erased",
    type=click.File("rb"),
    help="The list of erasures (`python -m gateway erasures`): who was erased after the backup is erased again.",
)
def restore(folder: Path, erased: IO[bytes] | None) -> None:
    """Bring the backup in FOLDER into an empty database, while no gateway and no worker runs.

    All digests are checked before anything is written, all counts afterwards. Until it is done no gateway and no worker
    starts on the database; if it is broken off, run it again. The worker makes the indexes.
    """
    settings = settings_or_end()
    end_without_replica_set(settings, whole=False)
    with _database(settings) as database:
        later = LaterErasures.read(erased or ())
        restoring = stores.restore(database, settings, folder)
        manifest = restoring.manifest
        _check_secret(manifest["secret"] == stores.secret_mark(settings), later)
        with _bar(sum(part["bytes"] for part in manifest["collections"].values()), "B") as progress:
            restoring.begin(progress)
        if restoring.to_erase is None:
            with _bar(sum(part["documents"] for part in manifest["collections"].values()), "documents") as progress:
                restoring.load(later, partial(keyed_digest, settings.secret_key, "erasure"), progress)
        again = _erase_again(restoring.to_erase or (), restoring.erased, database, settings)
        data = {"taken_at": manifest["taken_at"], "erased_again": again}
        subject = Subject(type="backup", id=manifest["id"])
        restoring.finish(entry_of(Origin(COMMAND_LINE), "database.restored", subject, data=data))
    for name, part in manifest["collections"].items():
        click.echo(f"{part['documents']:>12} {name}")
    click.echo(f"restored as of {manifest['taken_at']:%Y-%m-%d %H:%M:%S} UTC; {again} customers erased again")


@click.command()
def erasures() -> None:
    """Print every erasure as a line of JSON, by the digest that stands for the customer: keep them beside backups."""
    settings = settings_or_end()
    end_without_replica_set(settings)
    with _database(settings) as database:
        records, after = stores.mongo_stores(database, settings).erasures, None
        while found := records.page(after, _PAGE):
            for erasure in found:
                done = erasure.completed_at
                line = ErasedCustomer(
                    id=erasure.id,
                    digest=erasure.digest,
                    requested_at=f"{erasure.requested_at.isoformat(timespec='seconds')}Z",
                    completed_at=f"{done.isoformat(timespec='seconds')}Z" if done else None,
                )
                click.echo(orjson.dumps(line))
            after = found[-1].id


def _check_secret(same: bool, later: LaterErasures) -> None:
    if same:
        return
    if later.receipts:
        raise BackupError(
            "the backup was taken under another GATEWAY_SECRET_KEY than that of now, by which nobody can be recognised "
            "whom the list of erasures means: set the key of then"
        )
    click.echo(
        "the backup was taken under another GATEWAY_SECRET_KEY: cursors of lists end, and receipts of erasures are not "
        "found by CUST_ID",
        err=True,
    )


def _erase_again(
    left: Sequence[str], note: Callable[[str], None], database: Database[dict[str, Any]], settings: Settings
) -> int:
    service = wiring.build_erasures(stores.mongo_stores(database, settings), settings)
    for cust_id in left:
        service.erase(cust_id)
        note(cust_id)
    return len(left)


@contextmanager
def _database(settings: Settings) -> Iterator[Database[dict[str, Any]]]:
    """Give the database; what is refused or cannot be done ends the command."""
    logs.configure(settings.log_level, settings.log_format)
    patient = settings.model_copy(update={"mongodb_timeout": _OPERATION_SECONDS})
    database = stores.connect(Flask("gateway"), patient)
    try:
        yield database
    except BackupError as error:
        raise click.ClickException(str(error)) from error
    except SegmentationError as error:
        raise click.ClickException(f"{error} ({error.__cause__})" if error.__cause__ else str(error)) from error
    finally:
        database.client.close()


@contextmanager
def _bar(total: int, unit: str) -> Iterator[Progress]:
    """Give what draws a progress bar on a terminal, and nothing elsewhere."""
    with tqdm(total=total, unit=unit if unit == "B" else f" {unit}", unit_scale=True, disable=None) as bar:

        def advance(name: str, done: int) -> None:
            bar.set_description(name, refresh=False)
            bar.update(done)

        yield advance
