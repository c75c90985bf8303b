"""``python -m gateway sign-in``: an address that signs a browser in once, for whoever may run commands here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import click

from gateway.commands import settings_or_end
from gateway.commands.keys import SCOPES, access
from gateway.services.access.one_time_tokens import LIFETIME, LONGEST_LIFETIME
from gateway.services.access.sessions import LONGEST
from gateway.services.principal import COMMAND_LINE, Scope


@click.command("sign-in")
@click.option("--key", "key_id", metavar="ID", help="The API key to sign in with (its id, as keys list shows it).")
@click.option("--scope", "scopes", type=click.Choice(SCOPES), multiple=True, help="Or: what a new key may do.")
@click.option("--name", default="sign-in", show_default=True, help="What a new key is called, such as who signs in.")
@click.option(
    "--minutes",
    type=click.IntRange(1, int(LONGEST_LIFETIME.total_seconds() // 60)),
    default=int(LIFETIME.total_seconds() // 60),
    show_default=True,
    help="How long the address works.",
)
@click.option("--address", help="Where browsers reach the gateway, such as https://segments.example.com.")
def sign_in(key_id: str | None, scopes: Sequence[str], name: str, minutes: int, address: str | None) -> None:
    """Print an address that signs a browser in, once.

    With the API key that is named, or with a new one, whose text nobody learns and which ends with the longest session.
    """
    if bool(key_id) == bool(scopes):
        raise click.UsageError("Give either --key, or --scope (which may be given often).")
    settings = settings_or_end()
    with access() as (keys, tokens):
        if key_id is None:
            key_id = keys.create(name, [Scope(scope) for scope in scopes], COMMAND_LINE, LONGEST)["id"]
        token = tokens.make(key_id, timedelta(minutes=minutes))
    base = (address or f"http://{settings.host}:{settings.port}").rstrip("/")
    click.echo(f"{base}/sign-in/once#{token}")
    click.echo(f"It signs in with the key {key_id}, once, within {minutes} minutes.", err=True)
