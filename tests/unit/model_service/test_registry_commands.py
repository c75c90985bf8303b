"""The registry on the command line."""

from __future__ import annotations

import getpass
import os

import orjson
import pytest
from click.testing import CliRunner
from registry_changes import copy_version, damage, only_version, worse_version

from model_service.__main__ import main
from model_service.commands import models


@pytest.fixture
def run(store):
    def call(*arguments, status=0):
        done = CliRunner().invoke(main, [*arguments, "--store", str(store.directory)])
        assert done.exit_code == status, done.output
        assert "Traceback" not in done.output
        return done.output

    return call


def active(store):
    return store.active.read()["version"]


def test_versions_are_listed(run, store):
    first, second = only_version(store), copy_version(store)
    (store.path(second) / "manifest.json").write_bytes(b"{")
    head, *rows = run("models").splitlines()
    assert head.split() == ["VERSION", "STATUS", "K", "ROWS", "CREATED", "DATA"]
    assert [row.split()[:4] for row in rows] == [[second, "damaged", "-", "-"], [first, "active", "3", "180"]]


def test_a_version_is_shown_as_json(run, store):
    assert orjson.loads(run("show", only_version(store)))["k"] == 3
    assert "no model version" in run("show", "nope", status=1)


def test_activation_and_rollback_and_their_history(run, store):
    first, second = only_version(store), copy_version(store)
    assert second in run("activate", second, "--reason", "better\nby far")
    assert active(store) == second
    assert first in run("rollback", "--by", "ann")
    assert active(store) == first
    head, *rows = run("history").splitlines()
    assert head.split() == ["AT", "WHAT", "VERSION", "BY", "REASON"]
    assert [row.split()[1:] for row in rows[:2]] == [
        ["rollback", first, "ann"],
        ["activate", second, getpass.getuser(), "better", "by", "far"],
    ]
    assert "No version was active before" in run("rollback", status=1)


def test_the_gate_decides_unless_forced_with_a_reason(run, store):
    good, worse = copy_version(store), worse_version(store)
    assert f"{good} may replace {only_first(store)}" in run("gate", good)
    told = run("gate", worse, status=1)
    assert f"{worse} may not replace {only_first(store)}" in told
    assert "FAIL  stability" in told
    assert "stability" in run("activate", worse, status=1)
    assert "needs a reason" in run("activate", worse, "--force", status=1)
    run("activate", worse, "--force", "--reason", "decided")
    assert active(store) == worse
    assert "activate (forced)" in run("history")


def only_first(store):
    return store.versions()[0]


def test_a_damaged_version_is_refused(run, store):
    bad = copy_version(store)
    damage(store, bad)
    assert "SHA-256" in run("activate", bad, "--force", "--reason", "x", status=1)
    assert "FAIL  artefact" in run("gate", bad, status=1)


def test_segments_are_named(run, store):
    label = orjson.loads(run("label", "seg-01", "--name", "The quiet ones", "--owner", "Ann"))
    assert (label["name"], label["owner"], label["changed_by"]) == ("The quiet ones", "Ann", getpass.getuser())
    assert orjson.loads(run("label", "seg-01", "--name", ""))["name"] is None
    told = orjson.loads(run("label", "seg-01", "--action", "Call them", "--action", "Write to them"))
    assert told["actions"] == ["Call them", "Write to them"]
    assert orjson.loads(run("label", "seg-01", "--action", ""))["actions"] is None
    assert store.labels.read()["seg-01"]["owner"] == "Ann"


def test_a_label_that_cannot_be_is_refused(run):
    assert "--name: " in run("label", "seg-01", "--name", "x" * 81, status=1)
    assert "--actions: " in run("label", "seg-01", "--action", "x" * 201, status=1)
    assert "seg-99" in run("label", "seg-99", "--name", "X", status=1)


def test_an_empty_store(tmp_path):
    for command in ("models", "history"):
        done = CliRunner().invoke(main, [command, "--store", str(tmp_path / "none")])
        assert (done.exit_code, len(done.output.splitlines())) == (0, 1)


def test_the_store_of_the_environment_is_used(store, monkeypatch):
    monkeypatch.setenv("MODEL_STORE", str(store.directory))
    assert only_version(store) in CliRunner().invoke(main, ["models"]).output
    monkeypatch.setenv("MODEL_PORT", "http")
    done = CliRunner().invoke(main, ["models"])
    assert done.exit_code == 1
    assert "MODEL_PORT" in done.output


def test_a_user_without_a_name_is_known_by_number(monkeypatch):
    def nameless():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(models.getpass, "getuser", nameless)
    monkeypatch.setattr(models.os, "getuid", lambda: 12345)
    assert models._user() == "uid 12345"


@pytest.mark.parametrize(
    "arguments",
    [
        ("activate", "{version}", "--reason", "\udcff"),
        ("activate", "{version}", "--by", "\udcff"),
        ("rollback", "--reason", "\udcff"),
        ("label", "seg-01", "--name", "\udcff"),
        ("train", "{file}", "--note", "\udcff"),
        ("train", "{file}", "--by", "\udcff"),
        ("train", "{file}", "--force", "\udcff"),
        ("train", "{bad}"),
    ],
)
def test_a_text_that_is_no_utf8_is_refused_before_anything_is_done(run, store, tmp_path, arguments):
    names = {"version": copy_version(store), "file": tmp_path / "a.csv", "bad": tmp_path / os.fsdecode(b"\xff.csv")}
    names["file"].touch()
    names["bad"].touch()
    before = (store.versions(), active(store))
    assert "is not valid UTF-8" in run(*(argument.format_map(names) for argument in arguments), status=2)
    assert (store.versions(), active(store)) == before
