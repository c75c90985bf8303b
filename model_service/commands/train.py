"""``train``: from a file of customers to a new version, and to the active one."""

from __future__ import annotations

from pathlib import Path

import click
from tqdm import tqdm

from model_service.registry import ModelStore
from model_service.registry_errors import RegistryError
from model_service.settings import SettingsError, load_settings


@click.command()
@click.argument("csv", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--k", type=click.IntRange(2, 20), help="Take this number of segments instead of choosing it.")
@click.option("--k-min", type=click.IntRange(2, 20), default=3, show_default=True, help="Least number to try.")
@click.option("--k-max", type=click.IntRange(2, 20), default=8, show_default=True, help="Greatest number to try.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed.")
@click.option("--store", type=click.Path(file_okay=False, path_type=Path), help="Model store; MODEL_STORE by default.")
@click.option("--activate/--no-activate", default=True, show_default=True, help="Make the new version the active one.")
@click.option("--if-none", is_flag=True, help="Do nothing if the store has an active model already.")
def train(
    csv: Path, k: int | None, k_min: int, k_max: int, seed: int, store: Path | None, activate: bool, if_none: bool
) -> None:
    """Train a model on the customers in CSV and store it as a new version."""
    # Imported here because serving must not load pandas.
    from model_service.training.console import describe
    from model_service.training.dataset import read_csv
    from model_service.training.errors import TrainingError
    from model_service.training.trainer import Options, train_version

    if k_min > k_max:
        raise click.BadParameter("is greater than --k-max", param_hint="--k-min")
    options = Options(ks=(k,) if k else tuple(range(k_min, k_max + 1)), seed=seed)
    try:
        models = ModelStore(store or load_settings().model_store)
        if if_none and (there := models.candidates()):
            click.echo(f"{there[0]} is the active model: nothing to do")
            return
        data = read_csv(csv)
        for note in data.notes:
            click.echo(f"note: {note}", err=True)
        with tqdm(total=options.work_units(), desc="training", unit="fit", leave=False, disable=None) as bar:
            manifest = train_version(models, data, options, bar.update)
        if activate:
            models.activate(manifest["version"], "trained")
    except (TrainingError, RegistryError, SettingsError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(describe(manifest))
    click.echo(f"stored as {manifest['version']}{' and activated' if activate else ''} in {models.directory}")
