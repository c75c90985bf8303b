from __future__ import annotations

import pytest
from model_customers import TINY_K, tiny_customers

from model_service.pipeline import CompiledScorer, Parameters, label_differences
from model_service.registry import MANIFEST_FILE, ModelStore
from model_service.training.dataset import read_csv
from model_service.training.errors import DataRefused
from model_service.training.profiles import UTILISATION
from model_service.training.trainer import SAMPLE_ROWS, Options, train, train_version
from shared.contract import Segment
from shared.features import DISTANCE_NAMES, FEATURES

QUICK = Options(ks=(TINY_K,))


def no_tick() -> None:
    pass


@pytest.fixture(scope="module")
def manifest(tiny):
    store = ModelStore(tiny.store)
    return store.manifest(store.versions()[0])


def test_the_manifest_describes_the_training(tiny, manifest):
    assert manifest["rows"] == len(tiny.data.frame)
    assert manifest["data"] == tiny.data.source
    assert manifest["features"] == list(manifest["ranges"]) == list(DISTANCE_NAMES)
    assert [s["k"] for s in manifest["scores"]] == [TINY_K]
    assert manifest["parent"] is None
    assert manifest["retired"] == []
    assert len(manifest["sample"]) == min(SAMPLE_ROWS, manifest["rows"])
    assert any(None in row for row in manifest["sample"])
    assert set(manifest["libraries"]) >= {"python", "scikit-learn", "numpy"}


def test_every_segment_is_described(manifest):
    segments = manifest["segments"]
    assert [s["id"] for s in segments] == ["seg-01", "seg-02", "seg-03"]
    assert sorted(s["cluster"] for s in segments) == [0, 1, 2]
    assert [s["share"] for s in segments] == sorted((s["share"] for s in segments), reverse=True)
    assert sum(s["size"] for s in segments) == manifest["rows"]
    assert len({s["name"] for s in segments}) == TINY_K
    for segment in segments:
        assert set(Segment.__annotations__) <= set(segment)
        assert list(segment["profile"]) == [*(f.name for f in FEATURES), UTILISATION]


def test_the_same_data_and_seed_give_the_same_model(tiny, manifest):
    again = train(tiny.data, QUICK, None, 1, no_tick)
    assert Parameters.of(again.pipeline).digest() == manifest["model_digest"]
    assert again.manifest["segments"] == manifest["segments"]
    assert again.manifest["calibration"] == manifest["calibration"]
    assert again.manifest["sample"] == manifest["sample"]


def test_labels_are_those_of_the_stored_pipeline(tiny):
    trained = train(tiny.data, QUICK, None, 1, no_tick)
    rows = tiny.data.distance.to_numpy()
    assert label_differences(trained.pipeline, CompiledScorer(Parameters.of(trained.pipeline)), rows) == 0


def test_the_promised_units_of_work_are_ticked(tiny):
    ticks = []
    train(tiny.data, QUICK, None, 1, lambda: ticks.append(1))
    assert len(ticks) == QUICK.work_units()


def test_similar_customers_keep_their_segments(store, manifest, tmp_path):
    csv = tmp_path / "later.csv"
    tiny_customers(seed=5, rows=70).to_csv(csv, index=False)
    later = train_version(store, read_csv(csv), QUICK, no_tick)
    assert later["parent"] == manifest["version"]
    assert {s["match"]["status"] for s in later["segments"]} == {"kept"}
    assert {s["id"]: s["name"] for s in later["segments"]} == {s["id"]: s["name"] for s in manifest["segments"]}
    assert store.active.read()["version"] == manifest["version"], "activating is another step"


def test_an_id_is_never_used_twice_even_by_versions_that_were_never_active(store, tiny, tmp_path):
    csv = tmp_path / "other.csv"
    tiny_customers(rows=120).iloc[:240].to_csv(csv, index=False)
    four = Options(ks=(4,))
    first = train_version(store, read_csv(csv), four, no_tick)
    second = train_version(store, read_csv(csv), four, no_tick)
    fresh = [{s["id"] for s in m["segments"] if s["match"]["status"] == "new"} for m in (first, second)]
    assert all(fresh)
    assert not fresh[0] & fresh[1]
    assert second["next_segment_number"] > first["next_segment_number"]


def test_a_damaged_version_does_not_stand_in_the_way(store, tiny):
    (store.directory / store.versions()[0] / MANIFEST_FILE).write_bytes(b"{")
    manifest = train_version(store, tiny.data, QUICK, no_tick)
    store.activate(manifest["version"])
    assert manifest["parent"] is None


def test_too_few_customers_are_refused(tmp_path):
    csv = tmp_path / "few.csv"
    tiny_customers(rows=9).to_csv(csv, index=False)
    with pytest.raises(DataRefused, match="27 distinct customers are too few for 3 segments; at least 30"):
        train(read_csv(csv), QUICK, None, 1, no_tick)
