"""``python -m gateway keys``: API keys straight in the database, for the first administrator and for emergencies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import click
from flask import Flask
from marshmallow import ValidationError

from gateway import stores
from gateway.commands import end_without_replica_set, settings_or_end
from gateway.schemas.api_keys import NewApiKeySchema
from gateway.schemas.customers import field_errors
from gateway.services.access.api_keys import (
    DEFAULT_LIFETIME,
    DEFAULT_OVERLAP,
    LONGEST_LIFETIME,
    LONGEST_OVERLAP,
    ApiKeyService,
    ApiKeyView,
    NewApiKey,
)
from gateway.services.access.one_time_tokens import OneTimeTokens
from gateway.services.errors import SegmentationError
from gateway.services.events.change import Origin
from gateway.services.events.recorder import Recorder
from gateway.services.principal import COMMAND_LINE, Scope

_PAGE = 500
SCOPES = [scope.value for scope in Scope]  # of an enumeration click would take the names
_DAYS = click.IntRange(1, LONGEST_LIFETIME.days)


@click.group()
def keys() -> None:
    """API keys: make, list, revoke, rotate. Works on the database itself, needs no key and no running gateway."""


@keys.command()
@click.option("--name", required=True, help="What uses the key, such as CRM.")
@click.option("--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True, help="May be given often.")
@click.option("--expires-days", type=_DAYS, default=DEFAULT_LIFETIME.days, show_default=True)
def create(name: str, scopes: Sequence[str], expires_days: int) -> None:
    """Make a key and print it. It is shown this once: only a digest of it is stored."""
    try:
        sent = NewApiKeySchema().load({"name": name, "scopes": list(scopes), "expires_in_days": expires_days})
    except ValidationError as error:
        faults = "; ".join(f"{fault['pointer'][1:]} {fault['detail']}" for fault in field_errors(error))
        raise click.ClickException(faults) from error
    with access() as (service, _):
        _tell(service.create(**sent, maker=COMMAND_LINE))


@keys.command("list")
def list_() -> None:
    """List all keys, whether they work or not."""
    with access() as (service, _):
        for key in _all(service):
            used = f"last used {_minute(key['last_used_at'])}" if key["last_used_at"] else "never used"
            period = f"{_minute(key['created_at'])} to {_minute(key['expires_at'])}"
            click.echo(f"{key['id']}  {key['status']:<8}  {period}  {used}  {','.join(key['scopes'])}  {key['name']}")


@keys.command()
@click.argument("key_id", metavar="ID")
def revoke(key_id: str) -> None:
    """End a key for good; every gateway refuses it within two seconds."""
    with access() as (service, _):
        service.revoke(key_id)
    click.echo(f"revoked {key_id}")


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap-seconds",
    type=click.IntRange(0, int(LONGEST_OVERLAP.total_seconds())),
    default=int(DEFAULT_OVERLAP.total_seconds()),
    show_default=True,
    help="How long the old secret works as well.",
)
@click.option("--expires-days", type=_DAYS, default=None, help="A new expiry; the old one stays without.")
def rotate(key_id: str, overlap_seconds: int, expires_days: int | None) -> None:
    """Give a key a new secret and print it, this once."""
    expires = None if expires_days is None else timedelta(days=expires_days)
    with access() as (service, _):
        _tell(service.rotate(key_id, timedelta(seconds=overlap_seconds), expires))


@contextmanager
def access() -> Iterator[tuple[ApiKeyService, OneTimeTokens]]:
    """Give the services on the database of the settings; what they refuse or cannot do ends the command."""
    settings = settings_or_end()
    end_without_replica_set(settings)
    database = stores.connect(Flask("gateway"), settings)
    try:
        # Nobody in this process checks keys, so nobody has to hear of changes.
        kept = stores.mongo_stores(database, settings)
        recorder = Recorder(kept.outboxes, kept.orders, lambda: Origin(COMMAND_LINE))
        service = ApiKeyService(kept.keys, lambda _: None, kept.transactions, recorder)
        yield service, OneTimeTokens(kept.one_time_tokens, kept.keys)
    except SegmentationError as error:
        raise click.ClickException(str(error)) from error
    finally:
        database.client.close()


def _tell(key: NewApiKey) -> None:
    """Print the key alone on standard output, for a variable or a file, and the rest beside it."""
    click.echo(key["key"])
    about = f"{key['id']} ({key['name']}): {', '.join(key['scopes'])}; expires {_minute(key['expires_at'])}"
    click.echo(f"{about}. The key itself is not shown again.", err=True)


def _all(service: ApiKeyService) -> Iterator[ApiKeyView]:
    page = service.page(None, _PAGE)
    yield from page.items
    while page.end:
        page = service.page(page.end, _PAGE)
        yield from page.items


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
