"""``python -m tests.benchmarks.quality [FILE]``: the model's quality, for docs/clustering-study.md."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_service.scoring.pipeline import CompiledScorer, Parameters
from model_service.store.manifest import Evidence, Manifest
from model_service.store.registry import ModelStore
from model_service.training.dataset import read_customers
from model_service.training.matching import identify
from model_service.training.parallel import NoProgress, fit, run_all
from model_service.training.summary import summary
from tests.conftest import REAL_CSV

HALVES = 40


class Half(NamedTuple):
    """A refit on half of the customers: how many segments kept their id, how far the farthest matched centroid moved,
    and the share of all customers who have the same segment.
    """

    kept: int
    distance: float
    agreement: float


class Cost(NamedTuple):
    """What a training took: wall and CPU seconds, and the peak of its memory in GB."""

    seconds: float
    cpu_seconds: float
    peak_gb: float


def retrain_on_halves(rows: pd.DataFrame, parent: Manifest, halves: int) -> list[Half]:
    """Refit on `halves` random halves of `rows` (n_rows, n_features), each matched to the `parent` model."""
    generator = np.random.default_rng(0)
    samples = [generator.permutation(len(rows))[: len(rows) // 2] for _ in range(halves)]
    return run_all([partial(_half, rows, sample, parent) for sample in samples], NoProgress())


def _half(rows: pd.DataFrame, sample: NDArray[np.int64], parent: Manifest) -> Half:
    k = parent["k"]
    refit = Parameters.of(fit(rows.iloc[sample], k, 0))
    labels = CompiledScorer(refit).score(rows.to_numpy()).nearest
    shares = (np.bincount(labels, minlength=k) / len(labels)).tolist()
    identity = identify(refit, shares, parent, parent["next_segment_number"])
    kept = [match["distance"] for match in identity.matches if match["distance"] is not None]
    old = CompiledScorer(Parameters.from_json(parent["parameters"]))
    ids = {segment["cluster"]: segment["id"] for segment in parent["segments"]}
    before = np.array([ids[c] for c in range(k)])[old.score(rows.to_numpy()).nearest]
    return Half(len(kept), max(kept, default=0.0), float((before == np.array(identity.ids)[labels]).mean()))


def train(file: Path, store: Path, k: int | None) -> Cost:
    """Train by the command that a user would type."""
    command = [sys.executable, "-m", "model_service", "train", str(file), "--store", str(store)]
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command + ([] if k is None else ["--k", str(k)]), stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.monotonic() - started, cpu, after.ru_maxrss / 1024**2)


def reliability_table(evidence: Evidence) -> str:
    """Return predicted and observed confidence by bin, as Markdown."""
    rows = [
        f"| {b['low']:g} to {b['high']:g} | {b['customers']:,} | {b['predicted']:.3f} | {b['observed']:.3f} |"
        for b in evidence["reliability"]
    ]
    return "\n".join(["| confidence | customers | predicted | observed |", "|---|---|---|---|", *rows])


def rule_lines(manifest: Manifest) -> str:
    """Return the best rule of each segment."""
    rules = {s["name"]: manifest["evidence"]["segments"][s["id"]]["rules"] for s in manifest["segments"]}
    return "\n".join(f"- {name}: {found[0]['sentence'] if found else 'no short rule'}" for name, found in rules.items())


def halves_text(found: list[Half]) -> str:
    """Return how the segments fared in the refits on halves."""
    agreements = [half.agreement for half in found]
    return (
        f"refits on {len(found)} random halves: the same segment for {np.mean(agreements):.1%} of the customers "
        f"(worst {min(agreements):.1%}); segments that kept their id: {min(half.kept for half in found)} or more; "
        f"farthest matched centroid {max(half.distance for half in found):.2f}"
    )


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default=REAL_CSV)
@click.option("--k", type=int, help="Take this number of segments instead of choosing it.")
@click.option("--halves", default=HALVES, show_default=True, help="How many refits on random halves; 0 for none.")
def main(file: Path, k: int | None, halves: int) -> None:
    """Train on FILE (the public data set beside the checkout by default) and print what the model is worth."""
    if not file.exists():
        sys.exit(f"{file} is not there: name a file of customers, such as data/sample.csv")
    with tempfile.TemporaryDirectory(prefix="quality-") as name:
        cost = train(file, Path(name), k)
        store = ModelStore(Path(name))
        manifest = store.manifest(store.versions()[0])
    click.echo(f"{file.name}: {manifest['rows']:,} customers")
    click.echo(summary(manifest))
    click.echo("\n" + rule_lines(manifest))
    click.echo("\n" + reliability_table(manifest["evidence"]))
    if halves:
        click.echo("\n" + halves_text(retrain_on_halves(read_customers(file).distance, manifest, halves)))
    click.echo(
        f"training, with report and pictures: {cost.seconds:.0f} s, {cost.cpu_seconds:.0f} s of CPU, "
        f"{cost.peak_gb:.2f} GB at its peak"
    )


if __name__ == "__main__":
    main()
