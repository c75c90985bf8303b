from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil

import numpy as np
import pytest
from registry_changes import copy_version, damage, edit_manifest

from model_service.active_model import CACHED_VERSIONS, CHECKS_BETWEEN_RETRIES, ActiveModel, Status
from model_service.store.artefact import MANIFEST_FILE, MODEL_FILE
from model_service.store.errors import ArtefactDamaged, NoActiveModel, VersionNotFound
from model_service.store.labelling import relabel
from model_service.store.labels import LabelPatch
from model_service.store.registry import ACTIVE_FILE, LABELS_FILE, ModelStore
from shared.features import DISTANCE_NAMES

ROWS = np.ones((1, len(DISTANCE_NAMES)))


def serving(active):
    return active.predictor.version if active.predictor else None


def test_the_active_version_serves(store):
    active = ActiveModel(store)
    active.refresh()
    assert active.status == Status(store.versions()[0], None)


def test_without_a_store_nothing_serves_until_a_model_is_activated(tmp_path, store):
    active = ActiveModel(ModelStore(tmp_path / "late"))
    active.refresh()
    assert active.predictor is None
    shutil.copytree(store.directory, tmp_path / "late")
    active.refresh()
    assert serving(active) == store.versions()[0]
    assert active.status.fallback is None


def test_another_activation_is_followed(store):
    active = ActiveModel(store)
    active.refresh()
    second = copy_version(store)
    active.refresh()
    assert serving(active) != second, "stored is not yet activated"
    store.activate(second)
    active.refresh()
    assert serving(active) == second


def test_nothing_is_loaded_again_while_nothing_was_activated(store):
    active = ActiveModel(store)
    active.refresh()
    before = active.predictor
    active.refresh()
    os.utime(store.active.path, (1, 1))
    active.refresh()
    assert active.predictor is before


def test_a_damaged_new_version_leaves_the_old_one_serving(store, caplog):
    active = ActiveModel(store)
    active.refresh()
    first, second = serving(active), copy_version(store)
    store.activate(second)
    damage(store, second)
    with caplog.at_level(logging.WARNING):
        active.refresh()
    assert serving(active) == first
    assert second in (active.status.fallback or "")
    assert second in caplog.text
    store.activate(first)
    active.refresh()
    assert active.status.fallback is None


def test_a_damaged_active_version_at_start_falls_back_to_the_one_before(store, caplog):
    first, second = store.versions()[0], copy_version(store)
    store.activate(second)
    damage(store, second)
    active = ActiveModel(store)
    with caplog.at_level(logging.WARNING):
        active.refresh()
    assert serving(active) == first
    assert second in (active.status.fallback or "")
    assert f"serving {first} instead" in caplog.text


def test_an_unreadable_active_file_at_start_is_read_from_its_copy_and_told(store, caplog):
    second = copy_version(store)
    store.activate(second)
    copy_version(store)
    (store.directory / ACTIVE_FILE).write_bytes(b"{")
    active = ActiveModel(store)
    active.refresh()
    assert serving(active) == second
    assert "its copy active.copy.json is used instead" in active.status.fallback
    assert "its copy active.copy.json is used instead" in caplog.text
    store.activate(second, "repair")
    active.refresh()
    assert active.status == Status(second, None)


def test_without_any_record_no_version_serves_that_was_never_activated(store):
    copy_version(store)
    for name in (ACTIVE_FILE, "active.copy.json"):
        (store.directory / name).write_bytes(b"{")
    active = ActiveModel(store)
    active.refresh()
    assert active.predictor is None
    assert "Restore one of them" in active.status.fallback
    with pytest.raises(NoActiveModel, match=r"activation history is damaged: active\.json .* Restore one of them"):
        active.serving()
    for name in (ACTIVE_FILE, "active.copy.json"):
        (store.directory / name).unlink()
    second = store.versions()[-1]
    store.activate(second)
    active.refresh()
    assert active.status == Status(second, None), "what the message recommends helps"


def test_the_log_says_where_the_damage_is_and_clients_are_not_told(store, caplog):
    for name in (ACTIVE_FILE, LABELS_FILE):
        (store.directory / name).write_bytes(b"{")
    active = ActiveModel(store)
    active.refresh()
    assert caplog.text.count(str(store.directory)) == 2
    for told in (active.status.fallback, active.status.labels):
        assert str(store.directory) not in told
    (store.directory / "active.copy.json").unlink()
    (store.directory / ACTIVE_FILE).unlink()
    active.refresh()
    assert str(store.directory) not in active.status.fallback


def test_an_unreadable_record_stops_no_model_that_serves(store):
    active = ActiveModel(store)
    active.refresh()
    for name in (ACTIVE_FILE, "active.copy.json"):
        (store.directory / name).write_bytes(b"{")
    active.refresh()
    assert serving(active) == store.versions()[0]
    assert active.status.fallback


def test_when_every_version_is_damaged_nothing_serves(store):
    (store.directory / store.versions()[0] / MANIFEST_FILE).unlink()
    active = ActiveModel(store)
    active.refresh()
    assert active.predictor is None
    assert active.status.fallback


def test_following_goes_on_after_an_unforeseen_fault(store, caplog):
    class Faulty(ActiveModel):
        calls = 0

        def refresh(self):
            self.calls += 1
            if self.calls == 1:
                raise RuntimeError("unforeseen")
            super().refresh()

    active = Faulty(store)

    async def follow_until_served():
        task = asyncio.create_task(active.follow(0.001))
        while active.predictor is None:
            await asyncio.sleep(0.001)
        task.cancel()

    with caplog.at_level(logging.ERROR):
        asyncio.run(asyncio.wait_for(follow_until_served(), 10))
    assert "unforeseen" in caplog.text


@pytest.fixture(autouse=True)
def propagate_logs(caplog):
    caplog.set_level(logging.INFO)


@pytest.mark.parametrize(
    "wrong",
    [
        {"calibration": {}},
        {"calibration": {"slope": "a", "intercept": 0}},
        {"ranges": {}},
        {"segments": []},
        {"parameters": {"fill": None}},
        {"distance_limit": None},
    ],
    ids=str,
)
def test_a_manifest_that_cannot_serve_gives_way_to_the_last_good_version(store, wrong):
    good, bad = store.versions()[0], copy_version(store)
    store.activate(bad)
    edit_manifest(store, bad, **wrong)
    active = ActiveModel(store)
    active.refresh()
    assert serving(active) == good
    assert bad in active.status.fallback


@pytest.mark.parametrize(
    "record", [{"version": 5, "history": []}, {"version": "x", "history": None}, {"version": "x", "history": ["x"]}]
)
def test_an_activation_record_of_the_wrong_shape_stops_nothing(store, record):
    (store.directory / ACTIVE_FILE).write_text(json.dumps(record))
    active = ActiveModel(store)
    active.refresh()
    assert serving(active) == store.versions()[0]
    assert active.status.fallback


def test_a_repaired_version_serves_again(store):
    good, broken = store.versions()[0], copy_version(store)
    store.activate(broken)
    kept = (store.directory / broken / MODEL_FILE).read_bytes()
    damage(store, broken)
    active = ActiveModel(store)
    active.refresh()
    assert serving(active) == good
    (store.directory / broken / MODEL_FILE).write_bytes(kept)
    for _ in range(CHECKS_BETWEEN_RETRIES):
        active.refresh()
    assert active.status == Status(broken, None)


def test_a_version_that_was_rolled_back_serves_only_when_no_other_can(store):
    first, second, bad = store.versions()[0], copy_version(store), copy_version(store)
    store.activate(second)
    store.activate(bad)
    store.rollback()
    assert store.serving_order() == [second, first, bad]
    damage(store, second)
    active = ActiveModel(store)
    active.refresh()
    assert serving(active) == first


def test_names_that_people_give_are_followed(store):
    active = ActiveModel(store)
    active.refresh()
    before = active.predictor
    relabel(store, "seg-01", LabelPatch(name="Friends of the house"))
    active.refresh()
    assert active.predictor is not before
    assert active.predictor.model is before.model, "the model need not be loaded again"
    assert active.predictor.score_columns(ROWS)["segments"][0]["name"] == "Friends of the house"


def test_damaged_labels_give_way_to_the_names_made_by_rule_and_are_told(store, caplog):
    relabel(store, "seg-01", LabelPatch(name="Friends of the house"))
    kept = (store.directory / LABELS_FILE).read_bytes()
    (store.directory / LABELS_FILE).write_bytes(b"{")
    active = ActiveModel(store)
    active.refresh()
    assert active.predictor.score_columns(ROWS)["segments"][0]["name"] != "Friends of the house"
    assert active.status.fallback is None
    assert "labels.json" in active.status.labels
    assert "labels.json" in caplog.text
    (store.directory / LABELS_FILE).write_bytes(kept)
    active.refresh()
    assert active.predictor.score_columns(ROWS)["segments"][0]["name"] == "Friends of the house"
    assert active.status == Status(store.versions()[0], None)


def of(active, version):
    return asyncio.run(active.of(version))


def test_another_version_is_loaded_once(store):
    active, other = ActiveModel(store), copy_version(store)
    active.refresh()
    assert of(active, other).version == other
    assert of(active, other) is of(active, other)
    assert of(active, None) is of(active, "active") is of(active, serving(active)) is active.predictor


def test_other_versions_stay_loaded_as_long_as_they_are_among_the_last_asked_for(store):
    active, versions = ActiveModel(store), [copy_version(store) for _ in range(CACHED_VERSIONS + 1)]
    active.refresh()
    first, second = of(active, versions[0]), of(active, versions[1])
    for version in versions[2:CACHED_VERSIONS]:
        of(active, version)
    assert of(active, versions[0]) is first
    of(active, versions[CACHED_VERSIONS])
    assert of(active, versions[0]) is first
    assert of(active, versions[1]) is not second


def test_another_version_is_refused_once_it_is_damaged_and_taken_once_it_is_repaired(store):
    active, other = ActiveModel(store), copy_version(store)
    active.refresh()
    kept = (store.directory / other / MODEL_FILE).read_bytes()
    of(active, other)
    damage(store, other)
    for _ in range(2):
        with pytest.raises(ArtefactDamaged):
            of(active, other)
    (store.directory / other / MODEL_FILE).write_bytes(kept)
    assert of(active, other).version == other
    shutil.rmtree(store.directory / other)
    with pytest.raises(VersionNotFound):
        of(active, other)


def test_another_version_shows_the_names_that_people_give(store):
    active, other = ActiveModel(store), copy_version(store)
    active.refresh()
    of(active, other)
    relabel(store, "seg-01", LabelPatch(name="Friends of the house"))
    active.refresh()
    assert of(active, other).score_columns(ROWS)["segments"][0]["name"] == "Friends of the house"
