"""Uses a model store in child processes that are killed, or that compete.

    python crashing_registry.py STORE (activate | label | save | prune) TIMES
    python crashing_registry.py STORE compete TIMES

A program of its own, because it forks: the children need not load scikit-learn again. Every acknowledged change is a
line in STORE/../acknowledged. After each kill the store is looked at; what it prints last is for the test.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import joblib

from model_service.store.artefact import MODEL_FILE
from model_service.store.labelling import relabel
from model_service.store.labels import LabelPatch
from model_service.store.registry import ModelStore
from model_service.store.upkeep import prune
from model_service.training.fitted import save as save_version

LONGEST_WAIT = 0.04
"""Seconds from a child's first acknowledged change to its death, at most."""


LEFTOVERS = (".writing-", ".pruned-", ".active")


def acknowledged(store: ModelStore) -> Path:
    return store.directory.parent / "acknowledged"


def acknowledge(store: ModelStore, text: str) -> None:
    descriptor = os.open(acknowledged(store), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{text}\n".encode())
    os.close(descriptor)


def activate(store: ModelStore, life: int) -> None:
    loaded = {version: store.load(version) for version in store.versions()}
    store.load = loaded.__getitem__  # type: ignore[method-assign]  # so that it dies while it writes, not while it loads
    for n, version in zip(itertools.count(), itertools.cycle(loaded)):
        reason = f"{life}-{n}"
        if store.activate(version, reason)["reason"] == reason:
            acknowledge(store, reason)


def label(store: ModelStore, life: int) -> None:
    for n in itertools.count():
        relabel(store, "seg-01", LabelPatch(description=f"{life}-{n}"))
        acknowledge(store, f"{life}-{n}")


def save(store: ModelStore, life: int) -> None:
    version = store.versions()[0]
    pipeline = joblib.load(store.directory / version / MODEL_FILE)
    while True:
        acknowledge(store, save_version(store, pipeline, store.manifest(version), draw))


def prune_all(store: ModelStore, life: int) -> None:
    version = store.versions()[0]
    pipeline = joblib.load(store.directory / version / MODEL_FILE)
    for n in itertools.count():
        for _ in range(3):
            save_version(store, pipeline, store.manifest(version))
        prune(store, 1)
        acknowledge(store, f"{life}-{n}")


def draw(folder: Path, manifest: object) -> None:
    (folder / "plots").mkdir()
    for name in ("plots/elbow.svg", "report.html"):
        (folder / name).write_text("drawn")


def check(store: ModelStore) -> None:
    """Everything must be readable and whole, whatever was going on."""
    record = store.active.read()
    assert record["damage"] is None, record["damage"]
    store.load(record["version"])
    store.labels.read()
    for version in store.versions():
        store.manifest(version)


def kill_again_and_again(store: ModelStore, work: Callable[[ModelStore, int], None], times: int) -> int:
    leftovers = 0
    for life in range(times):
        acknowledged(store).touch()
        before = acknowledged(store).stat().st_size
        child = os.fork()
        if child == 0:
            work(store, life)
            os._exit(3)
        while acknowledged(store).stat().st_size == before and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.001)
        time.sleep(random.uniform(0, LONGEST_WAIT))
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "the child failed by itself"
        leftovers += sum(1 for path in store.directory.iterdir() if path.name.startswith(LEFTOVERS))
        check(store)
    return leftovers


def compete(store: ModelStore, times: int) -> None:
    _, *versions = store.versions()
    start, starter = os.pipe()
    pairs = (versions[:2], versions[2:])
    children = []
    for name, pair in enumerate(pairs):
        child = os.fork()
        if child == 0:
            os.close(starter)
            os.read(start, 1)  # until the parent closes its end, so that both begin together
            for n in range(times):
                assert store.activate(pair[n % 2], f"{name}-{n}")["reason"] == f"{name}-{n}"
            os._exit(0)
        children.append(child)
    os.close(starter)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    check(store)


if __name__ == "__main__":
    store, work, times = ModelStore(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
    if work == "compete":
        compete(store, times)
    else:
        works = {"activate": activate, "label": label, "save": save, "prune": prune_all}
        sys.stdout.write(str(kill_again_and_again(store, works[work], times)))
