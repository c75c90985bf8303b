from __future__ import annotations

import asyncio
import json
import logging
import shutil

import joblib
import pytest

from model_service.active_model import LOOKS_BETWEEN_TRIES, ActiveModel, Status
from model_service.registry import ACTIVE_FILE, MANIFEST_FILE, MODEL_FILE, ModelStore


def copy_version(store):
    """Store the same model once more, as a version of its own."""
    version = store.versions()[0]
    return store.save(joblib.load(store.directory / version / MODEL_FILE), store.manifest(version))


def damage(store, version):
    (store.directory / version / MODEL_FILE).write_bytes(b"rubbish")


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
    store.activate(store.versions()[0], "again")
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


def test_an_unreadable_active_file_at_start_falls_back_to_the_newest_good_version(store):
    first, second, third = store.versions()[0], copy_version(store), copy_version(store)
    damage(store, third)
    (store.directory / ACTIVE_FILE).write_bytes(b"{")
    active = ActiveModel(store)
    active.refresh()
    assert serving(active) == second != first
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
        {"libraries": {"scikit-learn": None}},
        {"distance_limit": None},
    ],
    ids=str,
)
def test_a_manifest_that_cannot_serve_gives_way_to_the_last_good_version(store, wrong):
    good, bad = store.versions()[0], copy_version(store)
    store.activate(good)
    store.activate(bad)
    path = store.directory / bad / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | wrong))
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
    assert serving(active) == store.versions()[-1]
    assert active.status.fallback


def test_a_repaired_version_serves_again(store):
    good, broken = store.versions()[0], copy_version(store)
    store.activate(good)
    store.activate(broken)
    kept = (store.directory / broken / MODEL_FILE).read_bytes()
    damage(store, broken)
    active = ActiveModel(store)
    active.refresh()
    assert serving(active) == good
    (store.directory / broken / MODEL_FILE).write_bytes(kept)
    for _ in range(LOOKS_BETWEEN_TRIES):
        active.refresh()
    assert active.status == Status(broken, None)
