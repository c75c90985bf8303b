"""What keeps the model store in order: ``upgrade``, ``sign`` and ``prune``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from model_service.commands.models import errors_shown, in_store
from model_service.settings import SettingsError, load_settings
from model_service.store.registry import ModelStore
from model_service.store.upkeep import Outcome, is_complete, prunable, prune, sign_anew


@click.command(name="upgrade")
@in_store
def take_over(store: ModelStore) -> None:
    """Take over a store of before signatures: prove its versions, and sign them and who activated them.

    Whatever has no signature is trusted and unpickled, so make sure before that nobody else could write the store. What
    has one is left as it is. The exit status is 1 if something could not be taken over.
    """
    if is_complete(store):
        click.echo("everything is signed already")
        return
    from model_service.training.fitted import upgrade  # here, because it loads scikit-learn

    with errors_shown():
        _tell(upgrade(store))


@click.command()
@in_store
def sign(store: ModelStore) -> None:
    """Sign with MODEL_SIGNING_KEY whatever MODEL_SIGNING_KEY or MODEL_SIGNING_KEY_OLD has signed.

    The exit status is 1 if there is something that neither has.
    """
    with errors_shown():
        _tell(sign_anew(store))


def _tell(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        click.echo(f"{outcome.what}: {outcome.fault or 'signed'}", err=bool(outcome.fault))
    if any(outcome.fault for outcome in outcomes):
        raise click.exceptions.Exit(1)


@click.command(name="prune")
@click.option("--keep", type=click.IntRange(min=1), help="Newest versions to keep; MODEL_KEEP_VERSIONS by default.")
@click.option("--dry-run", is_flag=True, help="Only say which versions would be deleted.")
@in_store
def delete_unneeded(keep: int | None, dry_run: bool, store: ModelStore) -> None:
    """Delete all versions but the newest and those that were ever active."""
    try:
        keep = keep or load_settings().model_keep_versions
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    if keep is None:
        raise click.UsageError("How many are to be kept? Give --keep, or set MODEL_KEEP_VERSIONS.")
    with errors_shown():
        gone = prunable(store, keep) if dry_run else prune(store, keep)
    for version in gone:
        click.echo(f"{version}: {'would be deleted' if dry_run else 'deleted'}")
    if not gone:
        click.echo("nothing to delete")


COMMANDS: tuple[click.Command, ...] = (take_over, sign, delete_unneeded)
