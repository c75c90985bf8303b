"""Metrics of several processes: read as the library reads them, and what dead processes counted is kept."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.metrics import Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from shared.metrics.folder import VARIABLE, make_metrics_folder
from shared.metrics.text import metrics_text, tidy_metrics

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
AWKWARD = 'a "quoted" \\ and\nbroken, one {x="y"}'


def samples(text: bytes, *, processes: bool = False) -> Samples:
    """Return what a text says, without what it says of processes unless that is wanted."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if processes or not sample.name.startswith("process_")
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a server's processes."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Lets a process count to so much."""

    def count(process: int, amount: int) -> None:
        monkeypatch.setattr(values, "ValueClass", values.MultiProcessValue(lambda: process))
        Counter("work_total", "Done.", ["by"], registry=None).labels(AWKWARD).inc(amount)
        histogram = Histogram("took_seconds", 'Has "quotes".\nAnd lines.', ["by"], registry=None, buckets=(0.1, 1, 10))
        for seconds in (0.05, 5, 50):
            histogram.labels("a").observe(seconds * amount)
        Histogram("plain_seconds", "No labels.", registry=None, buckets=(1,)).observe(amount)
        Gauge("size", "Each.", registry=None, multiprocess_mode="liveall").set(amount)
        Gauge("held", "All.", ["work"], registry=None, multiprocess_mode="livesum").labels("a").set(amount)
        Gauge("away", "Any.", registry=None, multiprocess_mode="livemax").set(amount)

    return count


def dead() -> int:
    """Return the number of a process that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def by_the_library(folder: Path) -> Samples:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    return samples(generate_latest(registry))


def test_they_are_read_as_the_library_reads_them(folder: Path, count: Callable[[int, int], None]) -> None:
    count(os.getpid(), 1)
    count(os.getppid(), 2)
    found = samples(metrics_text())
    assert found == by_the_library(folder)
    assert found["work_total", frozenset({("by", AWKWARD)})] == 3
    assert found["took_seconds_bucket", frozenset({("by", "a"), ("le", "10.0")})] == 4
    assert found["away", frozenset()] == 2


def test_each_process_says_how_large_it_is(folder: Path, count: Callable[[int, int], None]) -> None:
    count(os.getpid(), 1)
    (folder / f"counter_{os.getppid()}.db").touch()  # one that has only begun
    found = samples(metrics_text(), processes=True)
    this = frozenset({("pid", str(os.getpid()))})
    assert found["process_resident_memory_bytes", this] > 1e6
    assert found["process_threads", this] >= 1
    assert found["process_open_fds", this] <= found["process_max_fds", this]


def test_what_the_dead_have_counted_stays_and_what_they_were_goes(
    folder: Path, count: Callable[[int, int], None]
) -> None:
    count(os.getpid(), 1)
    for _ in range(2):
        count(dead(), 2)
    tidy_metrics()
    assert not list(folder.glob("gauge_*_dead.db"))
    texts = [samples(metrics_text()) for _ in range(2)]
    assert texts[0] == texts[1] == by_the_library(folder)
    assert texts[0]["work_total", frozenset({("by", AWKWARD)})] == 5
    assert texts[0]["took_seconds_count", frozenset({("by", "a")})] == 9
    assert texts[0]["held", frozenset({("work", "a")})] == texts[0]["away", frozenset()] == 1
    owners = {file.stem.rpartition("_")[2] for file in folder.glob("*.db")}
    assert owners == {str(os.getpid()), "dead"}


def test_a_folder_is_made_once_a_server_and_those_of_dead_servers_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    name = f"test-{os.getpid()}"
    make_metrics_folder(name)
    first = Path(os.environ[VARIABLE])
    make_metrics_folder(name)
    assert Path(os.environ[VARIABLE]) == first
    left = first.parent / f"segmentation-{name}-metrics-{dead()}-abc"
    left.mkdir()
    (left / "counter_1.db").touch()
    monkeypatch.setenv(VARIABLE, "")
    make_metrics_folder(name)
    second = Path(os.environ[VARIABLE])
    assert first.is_dir()
    assert not left.exists()
    for made in (first, second):
        made.rmdir()
