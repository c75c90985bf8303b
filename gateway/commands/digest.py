"""``python -m gateway digest``: what stands for a customer in the log, and whom it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click
from flask import Flask

from gateway import stores
from gateway.commands import end_without_replica_set, settings_or_end
from gateway.services.customers.digest import log_digest
from gateway.services.errors import StoreError
from gateway.settings import Settings
from shared.features import CUST_ID

NOBODY = 1
"""Exit status where no stored customer has the digest."""
_ROWS = 10_000


@click.command()
@click.argument("cust_ids", nargs=-1, metavar="[CUST_ID]...")
@click.option("--find", "wanted", metavar="DIGEST", help="Name the stored customers that have this digest.")
def digest(cust_ids: Sequence[str], wanted: str | None) -> None:
    """Print what stands for each CUST_ID in the log (`customer`). Needs GATEWAY_SECRET_KEY."""
    if bool(cust_ids) == (wanted is not None):
        raise click.UsageError("Name one or more CUST_ID, or --find DIGEST.")
    settings = settings_or_end()
    make = log_digest(settings.secret_key)
    if wanted is None:
        for cust_id in cust_ids:
            click.echo(make(cust_id))
        return
    found = _stored(settings, lambda cust_id: make(cust_id) == wanted.lower())
    for cust_id in found:
        click.echo(cust_id)
    if not found:
        raise SystemExit(NOBODY)


def _stored(settings: Settings, fits: Callable[[str], bool]) -> list[str]:
    end_without_replica_set(settings)
    database = stores.connect(Flask("gateway"), settings)
    try:
        customers = stores.mongo_stores(database, settings).customers
        return [row[0] for block in customers.rows((), [CUST_ID], _ROWS) for row in block if fits(row[0])]
    except StoreError as error:
        raise click.ClickException(str(error)) from error
    finally:
        database.client.close()
