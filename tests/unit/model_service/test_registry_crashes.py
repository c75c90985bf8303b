"""kill -9 at random moments, and processes that compete: see `crashing_registry`."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

from registry_changes import copy_version

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TIMES = 8


def run(store, work, times):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(HERE / "crashing_registry.py"), str(store.directory), work, str(times)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    acknowledged = store.directory.parent / "acknowledged"
    return done.stdout.strip(), acknowledged.read_text().split() if acknowledged.exists() else []


def test_killed_activations_lose_no_entry_that_was_acknowledged(store):
    copy_version(store)
    _, acknowledged = run(store, "activate", TIMES)
    reasons = [entry["reason"] for entry in store.active.read()["history"]]
    assert len(reasons) == len(set(reasons)), "none is there twice"
    assert [reason for reason in reasons if reason in set(acknowledged)] == acknowledged
    assert len(acknowledged) >= TIMES
    # At each kill at most one may have been written that could not be acknowledged any more.
    assert len(reasons) - 1 - len(acknowledged) <= TIMES


def test_killed_labellings_lose_nothing_that_was_acknowledged(store):
    _, acknowledged = run(store, "label", TIMES)
    life, n = (store.labels.read()["seg-01"]["description"] or "").split("-")
    last_life, last_n = acknowledged[-1].split("-")
    assert (int(life), int(n)) >= (int(last_life), int(last_n))


def test_killed_savings_leave_whole_versions_and_a_free_lock(store):
    leftovers, acknowledged = run(store, "save", TIMES)
    assert int(leftovers) > 0, "at least one was killed while it wrote"
    assert set(acknowledged) <= set(store.versions())
    for version in store.versions()[1:]:
        assert store.load(version).version == version
        assert {p.name for p in store.path(version).rglob("*")} >= {"elbow.svg", "report.html"}
    with store.training_lock():
        assert not list(store.directory.glob(".writing-*"))


def test_processes_that_activate_at_the_same_time_lose_no_entry(store):
    for _ in range(4):
        copy_version(store)
    times = 50
    run(store, "compete", times)
    reasons = [entry["reason"] for entry in store.active.read()["history"]][1:]
    assert sorted(reasons) == sorted(f"{name}-{n}" for name in range(2) for n in range(times))
    for name in "01":
        own = [reason for reason in reasons if reason.startswith(name)]
        assert own == [f"{name}-{n}" for n in range(times)]
    switches = sum(a[0] != b[0] for a, b in itertools.pairwise(reasons))
    assert switches > 1, "they did work at the same time"
