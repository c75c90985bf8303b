"""Activation, rollback and the history of both."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from registry_changes import copy_version, damage, edit_manifest, only_version, unstable, worse_version

from model_service.store.active_file import UNKNOWN, undo_stack
from model_service.store.description import list_versions
from model_service.store.errors import (
    ArtefactDamaged,
    GateRefused,
    IncompatibleModel,
    NoActiveModel,
    NothingToRollBack,
    ReasonRequired,
    StoreNotWritable,
    VersionNotFound,
)
from model_service.store.registry import ACTIVE_FILE, ModelStore
from shared.model_contract import Activation

COPY = "active.copy.json"


def active_version(store):
    return store.active.read()["version"]


def history(store):
    return store.active.read()["history"]


def test_the_history_says_who_and_why(store):
    first, second = only_version(store), copy_version(store)
    entry = store.activate(second, "better", "ann")
    back = store.rollback("worse after all", "ben")
    assert (entry["version"], entry["kind"], entry["reason"], entry["by"]) == (second, "activate", "better", "ann")
    assert (back["version"], back["kind"], back["reason"], back["by"]) == (first, "rollback", "worse after all", "ben")
    assert history(store)[1:] == [entry, back]
    assert history(store)[0]["reason"] == "test"
    assert all(set(e) == set(Activation.__annotations__) and not e["forced"] for e in history(store))


def test_no_draft_stays_behind(store):
    store.activate(copy_version(store))
    assert {p.name for p in store.directory.iterdir() if p.name.startswith(".")} == {".lock", ".training.lock"}


def test_activating_the_active_version_changes_nothing(store):
    before = (store.directory / ACTIVE_FILE).read_bytes()
    assert store.activate(only_version(store), "again") == history(store)[-1]
    assert (store.directory / ACTIVE_FILE).read_bytes() == before


def test_entries_of_the_first_release_are_read_in_full(store):
    version = only_version(store)
    entry = {"version": version, "at": "2026-01-01T00:00:00Z", "reason": "trained"}
    (store.directory / ACTIVE_FILE).write_bytes(orjson.dumps({"version": version, "history": [entry]}))
    (store.directory / COPY).unlink()
    full = entry | {"kind": "activate", "by": UNKNOWN, "forced": False}
    assert store.active.sign(unsigned=True)
    assert history(store) == [full]
    store.activate(copy_version(store))
    assert history(store)[0] == full


def test_rollbacks_walk_back_step_by_step(store):
    a, b, c = only_version(store), copy_version(store), copy_version(store)
    store.activate(b)
    store.activate(c)
    assert list_versions(store)["rollback_to"] == b
    assert store.rollback()["version"] == b
    assert list_versions(store)["rollback_to"] == a
    assert store.rollback()["version"] == a
    assert list_versions(store)["rollback_to"] is None
    with pytest.raises(NothingToRollBack):
        store.rollback()
    store.activate(c)
    assert store.rollback()["version"] == active_version(store) == a
    assert [e["version"] for e in history(store)] == [a, b, c, b, a, c, a]


def test_the_undo_stack_of_an_old_history_has_no_repetitions():
    entries = [Activation(version=v, at="", kind="activate", reason="", by="", forced=False) for v in "aabba"]
    assert undo_stack(entries) == ["a", "b", "a"]


def test_in_an_empty_store_there_is_nothing_to_roll_back(tmp_path):
    with pytest.raises(NothingToRollBack):
        ModelStore(tmp_path / "none").rollback()


def test_a_rollback_is_not_judged_by_the_gate(store):
    first = only_version(store)
    store.activate(copy_version(store))
    edit_manifest(store, first, scores=unstable(store.manifest(first)))
    assert store.rollback()["version"] == first


@pytest.mark.parametrize("how", ["damaged", "incompatible", "removed"])
def test_a_rollback_to_what_cannot_serve_is_refused_by_its_name(store, how):
    first, second = only_version(store), copy_version(store)
    store.activate(second)
    if how == "damaged":
        damage(store, first)
    elif how == "incompatible":
        edit_manifest(store, first, features=["AGE"])
    else:
        (store.directory / first).rename(store.directory / "elsewhere")
    with pytest.raises(
        IncompatibleModel if how == "incompatible" else ArtefactDamaged, match=f"lead to version {first}"
    ):
        store.rollback()
    assert active_version(store) == second


def test_a_worse_version_is_refused_and_forced_only_with_a_reason(store):
    first, worse = only_version(store), worse_version(store)
    with pytest.raises(GateRefused, match="stability") as refused:
        store.activate(worse)
    assert [check["check"] for check in refused.value.checks] == ["stability"]
    for reason in ("", "  "):
        with pytest.raises(ReasonRequired):
            store.activate(worse, reason, force=True)
    assert active_version(store) == first
    assert store.activate(worse, "the board wants it", "ann", force=True)["forced"]
    assert active_version(store) == worse


def test_force_without_need_is_not_recorded_as_such(store):
    assert not store.activate(copy_version(store), "to be sure", force=True)["forced"]


@pytest.mark.parametrize("force", [False, True])
def test_what_cannot_serve_is_refused_even_by_force(store, force):
    bad = copy_version(store)
    damage(store, bad)
    with pytest.raises(ArtefactDamaged):
        store.activate(bad, "why not", force=force)
    with pytest.raises(VersionNotFound):
        store.activate("20200101T000000Z-00000000", "why not", force=force)
    assert active_version(store) == only_version_before(store, bad)


def only_version_before(store, other):
    return next(version for version in store.versions() if version != other)


def test_the_gate_compares_with_what_serves_when_the_active_version_is_damaged(store):
    first, second, third = only_version(store), copy_version(store), copy_version(store)
    store.activate(second)
    edit_manifest(store, second, scores="gone")
    refused = store.gate(third)
    assert (refused["against"], refused["passed"]) == (second, False)
    assert "cannot be compared" in refused["checks"][-1]["detail"]
    (store.directory / second / "manifest.json").unlink()
    assert (store.gate(third)["against"], store.gate(third)["passed"]) == (first, True)


def test_the_version_that_serves_in_place_of_a_damaged_one_can_be_activated(store):
    first, second = only_version(store), copy_version(store)
    change = [s | {"id": f"seg-9{i}"} for i, s in enumerate(store.manifest(second)["segments"])]
    edit_manifest(store, second, segments=change)
    store.activate(second, "so decided", force=True)
    assert not store.gate(first)["passed"]
    damage(store, second)
    assert (store.gate(first)["against"], store.gate(first)["passed"]) == (first, True)
    assert not store.activate(first)["forced"]


def test_versions_that_cannot_serve_can_still_be_compared_with(store):
    first, second = only_version(store), worse_version(store)
    damage(store, first)
    assert store.gate(second)["against"] == first
    with pytest.raises(GateRefused, match="stability"):
        store.activate(second)


def test_force_helps_against_an_active_version_that_cannot_be_compared_with(store):
    first, second = only_version(store), copy_version(store)
    edit_manifest(store, first, segments="none")
    with pytest.raises(GateRefused, match="cannot be compared"):
        store.activate(second)
    assert store.activate(second, "the other is damaged", force=True)["forced"]


def test_the_gate_of_a_damaged_version_says_so(store):
    bad = copy_version(store)
    damage(store, bad)
    gate = store.gate(bad)
    assert not gate["passed"]
    assert [(c["check"], c["passed"]) for c in gate["checks"]] == [("artefact", False)]


def test_the_first_version_passes_the_gate(store):
    for name in (ACTIVE_FILE, COPY):
        (store.directory / name).unlink()
    gate = store.gate(only_version(store))
    assert (gate["against"], gate["passed"]) == (None, True)
    assert [c["check"] for c in gate["checks"]] == ["artefact", "stability", "smallest_share", "match", "names"]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b"\xff", b'{"version": "x", "history": []}'])
def test_an_unreadable_record_is_read_from_its_copy(store, content):
    second = copy_version(store)
    store.activate(second)
    before = history(store)
    if content is None:
        (store.directory / ACTIVE_FILE).unlink()
    else:
        (store.directory / ACTIVE_FILE).write_bytes(content)
    record = store.active.read()
    assert (record["version"], record["history"]) == (second, before)
    assert "its copy" in record["damage"]
    store.rollback()
    assert store.active.read()["damage"] is None, "the next activation repairs it"
    assert history(store)[:-1] == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_with_the_copy_unreadable_too_nothing_is_a_candidate_and_nothing_is_overwritten(store, content):
    second = copy_version(store)
    for name in (ACTIVE_FILE, COPY):
        (store.directory / name).write_bytes(content)
    with pytest.raises(ArtefactDamaged, match="Restore"):
        store.active.read()
    assert store.serving_order() == []
    for act in (lambda: store.activate(second), store.rollback):
        with pytest.raises(ArtefactDamaged, match="Restore"):
            act()
    assert (store.directory / ACTIVE_FILE).read_bytes() == content


def test_a_copy_that_is_one_behind_does_no_harm(store):
    second = copy_version(store)
    behind = (store.directory / COPY).read_bytes()
    store.activate(second)
    (store.directory / COPY).write_bytes(behind)
    assert (active_version(store), store.active.read()["damage"]) == (second, None)


@pytest.mark.parametrize(
    "entry", [5, {}, {"version": 5}, {"version": "x", "at": "", "kind": "rollback"}, {"version": "x", "at": None}]
)
def test_a_history_of_the_wrong_shape_is_damage(store, entry):
    (store.directory / COPY).unlink()
    (store.directory / ACTIVE_FILE).write_bytes(orjson.dumps({"version": "x", "history": [entry]}))
    with pytest.raises(ArtefactDamaged):
        store.active.read()


def test_without_a_record_nothing_is_active(store):
    for name in (ACTIVE_FILE, COPY):
        (store.directory / name).unlink()
    with pytest.raises(NoActiveModel):
        store.active.read()


def test_a_disk_that_cannot_be_written_is_said_and_the_record_stays(store, monkeypatch):
    from model_service.store import files

    second, before = copy_version(store), store.active.read()
    monkeypatch.setattr(files, "fsync", full_disk)
    for act in (lambda: store.activate(second), lambda: store.activate(second, "now", force=True)):
        with pytest.raises(StoreNotWritable, match="No space left"):
            act()
    assert store.active.read() == before


def full_disk(*_):
    import errno
    import os

    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_of_many_at_once_each_says_what_was_active_before_and_in_which_order(store):
    first, second = store.versions()[0], copy_version(store)
    stores = [ModelStore(store.directory) for _ in range(4)]

    def switch(place: int) -> None:
        for turn in range(6):
            with contextlib.suppress(NothingToRollBack):
                if (place + turn) % 3:
                    stores[place].activate((first, second)[(place + turn) % 2], force=True, reason="r")
                else:
                    stores[place].rollback()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(switch, range(4)))
    history = [entry for entry in store.active.read()["history"] if "id" in entry]
    assert [entry["number"] for entry in history] == list(range(1, len(history) + 1))
    assert [entry["before"] for entry in history] == [None, *(entry["version"] for entry in history[:-1])]
    assert len({entry["id"] for entry in history}) == len(history) > 4
    assert [entry["at"] for entry in history] == sorted(entry["at"] for entry in history)


def test_an_activation_that_changes_nothing_answers_with_the_one_before(store):
    version = copy_version(store)
    done = store.activate(version, event="a" * 32)
    assert done["id"] == "a" * 32
    assert store.activate(version, event="b" * 32) == done
    assert store.rollback(event="c" * 32)["before"] == version
