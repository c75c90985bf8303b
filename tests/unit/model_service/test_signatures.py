"""Whoever can write the model store, but does not know the key, puts nothing in force."""

from __future__ import annotations

import shutil

import orjson
import pytest
from click.testing import CliRunner
from registry_changes import copy_version, edit_manifest, only_version

from model_service.__main__ import main
from model_service.active_model import CHECKS_BETWEEN_RETRIES, ActiveModel, Status
from model_service.store.artefact import MANIFEST_FILE, MODEL_FILE, SIGNATURE_FILE
from model_service.store.description import list_versions
from model_service.store.errors import ArtefactDamaged, LabelsDamaged, SignatureRefused, StoreNotWritable
from model_service.store.labelling import relabel
from model_service.store.labels import LabelPatch
from model_service.store.registry import ACTIVE_FILE, LABELS_FILE, ModelStore
from model_service.store.signatures import IN_DEVELOPMENT, Signer
from model_service.store.upkeep import HISTORY, LABELS, sign_anew
from shared.secret_rules import MODEL_SIGNING_KEY_IN_DEVELOPMENT

COPY = "active.copy.json"


@pytest.fixture
def foreign(store):
    """The store, as somebody without its key may write it."""
    return ModelStore(store.directory, Signer("another key"))


def serving(store):
    active = ActiveModel(store)
    active.refresh()
    return active


def edited(path, change):
    content = orjson.loads(path.read_bytes())
    change(content)
    path.write_bytes(orjson.dumps(content))


def centroids_moved(store, version):
    edited(store.path(version) / MANIFEST_FILE, lambda m: m["parameters"]["centroids"].reverse())


def other_calibration(store, version):
    edited(store.path(version) / MANIFEST_FILE, lambda m: m["calibration"].update(slope=99.0))


def other_model(store, version):
    path = store.path(version) / MODEL_FILE
    path.write_bytes(path.read_bytes() + b"x")


def other_directory(store, version):
    """Another version, rightly signed, in the place of this one."""
    other = next(name for name in store.versions() if name != version)
    for name in (MANIFEST_FILE, SIGNATURE_FILE, MODEL_FILE):
        shutil.copy(store.path(other) / name, store.path(version) / name)


def signed_by_another(store, version):
    edit_manifest(ModelStore(store.directory, Signer("another key")), version, seed=7)


def other_signature(store, version):
    (store.path(version) / SIGNATURE_FILE).write_text("0" * 64)


def no_signature(store, version):
    (store.path(version) / SIGNATURE_FILE).unlink()


def signature_of_something_else(store, version):
    content = (store.path(version) / MANIFEST_FILE).read_bytes()
    (store.path(version) / SIGNATURE_FILE).write_text(IN_DEVELOPMENT.sign("labels", content))


ALTERED = [
    centroids_moved, other_calibration, other_model, other_directory, signed_by_another, other_signature, no_signature,
    signature_of_something_else,
]  # fmt: skip


@pytest.mark.parametrize("alter", ALTERED)
def test_an_altered_version_is_neither_served_nor_activated_and_the_last_good_one_serves_on(store, alter):
    good, bad = only_version(store), copy_version(store)
    running, told = serving(store), []
    store.activate(bad)
    alter(store, bad)
    store.signer.on_refusal = lambda: told.append(bad)
    running.refresh()
    store.signer.on_refusal = lambda: None
    assert bool(told) is (alter not in (other_model, other_directory)), "those are found out by what is signed"
    for active in (running, serving(store)):
        assert active.predictor.version == good
        assert bad in active.status.fallback
    store.rollback()
    assert not store.gate(bad)["passed"]
    with pytest.raises(ArtefactDamaged, match=bad):
        store.activate(bad, "so be it", force=True)


def test_a_list_says_which_version_was_altered(store):
    altered = copy_version(store)
    centroids_moved(store, altered)
    assert {e["version"]: e["status"] for e in list_versions(store)["items"]}[altered] == "damaged"


def names_another(store, other):
    """The crudest forgery: another version, and the history to it."""
    for name in (ACTIVE_FILE, COPY):
        edited(store.directory / name, lambda record: _point_to(record, other))


def _point_to(record, other):
    record["version"] = record["history"][-1]["version"] = other


def adds_an_entry(store, other):
    for name in (ACTIVE_FILE, COPY):
        edited(store.directory / name, lambda record: _add(record, other))


def _add(record, other):
    record["version"] = other
    record["history"].append({**record["history"][-1], "version": other})
    record["signatures"].append(record["signatures"][-1])


def moves_a_signed_entry(store, other):
    """Entries that are signed, in another order."""
    for name in (ACTIVE_FILE, COPY):
        edited(store.directory / name, lambda record: _swap(record, other))


def _swap(record, other):
    for kind in ("history", "signatures"):
        record[kind][-2], record[kind][-1] = record[kind][-1], record[kind][-2]
    record["version"] = other


def leaves_one_out(store, other):
    for name in (ACTIVE_FILE, COPY):
        edited(store.directory / name, _leave_out)


def _leave_out(record):
    for kind in ("history", "signatures"):
        del record[kind][0]


def signs_with_another_key(store, other):
    history = store.active.read()["history"]
    ModelStore(store.directory, Signer("another key")).active._write([*history, {**history[-1], "version": other}])


def takes_the_signatures_away(store, other):
    for name in (ACTIVE_FILE, COPY):
        edited(store.directory / name, lambda record: [_point_to(record, other), record.pop("signatures")])


@pytest.mark.parametrize(
    "forge",
    [names_another, adds_an_entry, moves_a_signed_entry, leaves_one_out, signs_with_another_key,
     takes_the_signatures_away],
)  # fmt: skip
def test_a_forged_history_puts_nothing_in_force(store, forge):
    first, second = only_version(store), copy_version(store)
    store.activate(second)
    running = serving(store)
    forge(store, first)
    running.refresh()
    assert running.predictor.version == second, "the last good version serves on"
    assert (
        "was altered, or signed with another key" in running.status.fallback or "not signed" in running.status.fallback
    )
    fresh = serving(store)
    assert fresh.predictor is None
    with pytest.raises(SignatureRefused):
        store.rollback()
    with pytest.raises(SignatureRefused):
        store.activate(first)


def test_a_forged_history_is_read_from_its_copy(store):
    second = copy_version(store)
    store.activate(second)
    edited(store.directory / ACTIVE_FILE, lambda record: _point_to(record, store.versions()[0]))
    active = serving(store)
    assert active.predictor.version == second
    assert "Activation 2 in active.json was altered" in active.status.fallback
    assert "its copy" in active.status.fallback


def test_an_earlier_history_that_was_rightly_signed_is_refused_by_who_followed_a_later_one(store):
    first, second = only_version(store), copy_version(store)
    earlier = (store.directory / ACTIVE_FILE).read_bytes()
    store.activate(second)
    running = serving(store)
    for name in (ACTIVE_FILE, COPY):
        (store.directory / name).write_bytes(earlier)
    running.refresh()
    assert running.predictor.version == second
    assert "lacks activation 2" in running.status.fallback
    store.activate(second, "goes on from the earlier one")
    for _ in range(CHECKS_BETWEEN_RETRIES):
        running.refresh()
    assert "lacks activation 2" in running.status.fallback
    assert serving(store).status == Status(second, None), "a process that starts cannot know; a restart accepts it"
    assert first in store.serving_order()


def test_labels_that_somebody_else_wrote_are_not_shown(store, foreign):
    relabel(store, "seg-01", LabelPatch(name="Friends of the house"))
    running = serving(store)
    edited(store.directory / LABELS_FILE, lambda labels: labels["seg-01"].update(name="Call 0900-4711"))
    running.refresh()
    assert running.predictor.score_columns
    assert "labels.json was altered" in running.status.labels
    assert running.predictor.labels == {}
    with pytest.raises(LabelsDamaged):
        relabel(store, "seg-01", LabelPatch(name="Others"))
    with pytest.raises(LabelsDamaged):
        foreign.labels.read()


def test_a_labelling_that_died_between_its_two_files_leaves_labels_that_are_signed(store, monkeypatch):
    relabel(store, "seg-01", LabelPatch(name="First"))
    monkeypatch.setattr("model_service.store.labels.replace_files", lambda *_: 1 / 0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            relabel(store, "seg-01", LabelPatch(name="Second"))
    assert store.labels.read()["seg-01"]["name"] == "First"
    monkeypatch.undo()
    relabel(store, "seg-01", LabelPatch(name="Third"))
    assert store.labels.read()["seg-01"]["name"] == "Third"


def rotated(store, new="a new key"):
    return ModelStore(store.directory, Signer(new, MODEL_SIGNING_KEY_IN_DEVELOPMENT))


def test_with_another_key_nothing_serves_and_with_the_former_one_besides_all_does(store, foreign):
    relabel(store, "seg-01", LabelPatch(name="Friends of the house"))
    version = only_version(store)
    assert serving(foreign).predictor is None
    both = rotated(store)
    assert serving(both).status == Status(version, None)
    second = copy_version(both)
    both.activate(second)
    assert serving(both).predictor.version == second
    assert serving(store).predictor is None, "who has the former key alone refuses what the new one signs"


def test_signing_anew_leaves_nothing_to_the_former_key_and_signs_nothing_that_it_had_not(store, monkeypatch):
    relabel(store, "seg-01", LabelPatch(name="Friends of the house"))
    first, forged = only_version(store), copy_version(store)
    centroids_moved(store, forged)
    outcomes = sign_anew(rotated(store))
    assert {o.what for o in outcomes if not o.fault} == {first, HISTORY, LABELS}
    assert [o.what for o in outcomes if o.fault] == [forged]
    new = ModelStore(store.directory, Signer("a new key"))
    assert serving(new).status == Status(first, None)
    with pytest.raises(SignatureRefused):
        new.load(forged)
    assert serving(store).predictor is None


def test_signing_anew_on_the_command_line(store, monkeypatch):
    monkeypatch.setenv("MODEL_SIGNING_KEY", "a new key")
    command = ["sign", "--store", str(store.directory)]
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 1
    assert "was altered, or signed with another key" in refused.output
    monkeypatch.setenv("MODEL_SIGNING_KEY_OLD", MODEL_SIGNING_KEY_IN_DEVELOPMENT)
    assert CliRunner().invoke(main, command).exit_code == 0
    assert serving(ModelStore(store.directory, Signer("a new key"))).status.fallback is None


def test_a_store_that_cannot_be_written_serves_and_is_not_signed_anew(store, monkeypatch):
    monkeypatch.setattr("model_service.store.files.os.open", lambda *_: _read_only())
    with pytest.raises(StoreNotWritable, match="Read-only"):
        sign_anew(rotated(store))
    assert serving(store).status.fallback is None


def _read_only():
    raise OSError(30, "Read-only file system")


def test_in_production_a_command_without_a_key_says_so(store, monkeypatch):
    monkeypatch.setenv("DEPLOYMENT", "production")
    monkeypatch.delenv("MODEL_SIGNING_KEY", raising=False)
    done = CliRunner().invoke(main, ["models", "--store", str(store.directory)])
    assert done.exit_code == 1
    assert "MODEL_SIGNING_KEY (or MODEL_SIGNING_KEY_FILE) is missing" in done.output
