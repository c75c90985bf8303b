from __future__ import annotations

import orjson
import pandas as pd
import pytest
from model_customers import TINY_K, tiny_customers
from training_progress import Watched

from model_service.scoring.pipeline import CompiledScorer, Parameters, label_differences
from model_service.store.artefact import MANIFEST_FILE
from model_service.store.manifest import UTILISATION, Evidence, StoredSegment
from model_service.store.registry import ModelStore
from model_service.training.dataset import read_customers
from model_service.training.errors import DataRefused
from model_service.training.fitted import predict_arrays
from model_service.training.parallel import NoProgress
from model_service.training.trainer import SAMPLE_ROWS, Options, train, train_version
from shared.features import CUST_ID, DISTANCE_NAMES, FEATURES

QUICK = Options(ks=(TINY_K,))


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
        assert set(StoredSegment.__annotations__) == set(segment)
        assert list(segment["profile"]) == [*(f.name for f in FEATURES), UTILISATION]


def test_the_same_data_and_seed_give_the_same_model(tiny, manifest):
    again = train(tiny.data, QUICK, None, 1, NoProgress())
    assert Parameters.of(again.pipeline).digest() == manifest["model_digest"]
    assert again.manifest["segments"] == manifest["segments"]
    assert again.manifest["calibration"] == manifest["calibration"]
    assert again.manifest["sample"] == manifest["sample"]
    assert again.manifest["evidence"] == manifest["evidence"]


@pytest.mark.usefixtures("few_refits")
def test_labels_are_those_of_the_stored_pipeline(tiny):
    trained = train(tiny.data, QUICK, None, 1, NoProgress())
    rows = tiny.data.distance.to_numpy()
    assert (
        label_differences(predict_arrays(trained.pipeline, rows), CompiledScorer(Parameters.of(trained.pipeline)), rows)
        == 0
    )


@pytest.mark.usefixtures("few_refits")
def test_the_promised_units_of_work_are_ticked(tiny):
    watched = Watched()
    train(tiny.data, QUICK, None, 1, watched)
    assert watched.ticks == QUICK.work_units()
    assert watched.phases == ["trying k = 3", "measuring stability", "calibrating confidence", "describing segments"]


def test_the_evidence_is_about_the_segments_and_features_of_the_model(tiny, manifest):
    evidence = manifest["evidence"]
    assert set(Evidence.__annotations__) == set(evidence)
    assert sorted(evidence["segments"]) == [s["id"] for s in manifest["segments"]]
    assert list(evidence["histograms"]) == [f.name for f in FEATURES]
    assert len(evidence["distances"]) == 101
    assert evidence["distances"] == sorted(evidence["distances"])
    assert sum(b["customers"] for b in evidence["reliability"]) == manifest["rows"]
    assert evidence["fidelity"] > 0.9
    for shown in evidence["segments"].values():
        assert shown["rules"][0]["precision"] == shown["rules"][0]["coverage"] == 1.0
        assert len(shown["typical"]) == len(shown["borderline"]) == 5
    assert orjson.loads(orjson.dumps(evidence)) == evidence


@pytest.mark.usefixtures("few_refits")
def test_pictures_are_drawn_before_the_version_appears(store, tiny, manifest):
    seen = []

    def draw(into, of, data, parent):
        assert of["version"]
        assert of["version"] not in store.versions()
        assert data is tiny.data
        (into / "report.html").write_text(parent["version"])
        seen.append(of["version"])

    watched = Watched()
    later = train_version(store, tiny.data, QUICK, watched, draw)
    assert seen == [later["version"]]
    assert (store.directory / later["version"] / "report.html").read_text() == manifest["version"]
    assert watched.phases[-1] == "drawing plots"


@pytest.mark.usefixtures("few_refits")
def test_a_picture_that_fails_leaves_no_version(store, tiny):
    before = store.versions()

    def draw(*_):
        raise RuntimeError("no font")

    with pytest.raises(RuntimeError, match="no font"):
        train_version(store, tiny.data, QUICK, NoProgress(), draw)
    assert store.versions() == before


@pytest.mark.usefixtures("few_refits")
def test_similar_customers_keep_their_segments(store, manifest, tmp_path):
    csv = tmp_path / "later.csv"
    tiny_customers(seed=5, rows=70).to_csv(csv, index=False)
    later = train_version(store, read_customers(csv), QUICK, NoProgress())
    assert later["parent"] == manifest["version"]
    assert {s["match"]["status"] for s in later["segments"]} == {"kept"}
    assert {s["id"]: s["name"] for s in later["segments"]} == {s["id"]: s["name"] for s in manifest["segments"]}
    assert store.active.read()["version"] == manifest["version"], "activating is another step"


@pytest.mark.usefixtures("few_refits")
def test_an_id_is_never_used_twice_even_by_versions_that_were_never_active(store, tiny, tmp_path):
    csv = tmp_path / "other.csv"
    tiny_customers(rows=120).iloc[:240].to_csv(csv, index=False)
    four = Options(ks=(4,))
    first = train_version(store, read_customers(csv), four, NoProgress())
    second = train_version(store, read_customers(csv), four, NoProgress())
    fresh = [{s["id"] for s in m["segments"] if s["match"]["status"] == "new"} for m in (first, second)]
    assert all(fresh)
    assert not fresh[0] & fresh[1]
    assert second["next_segment_number"] > first["next_segment_number"]


@pytest.mark.usefixtures("few_refits")
def test_a_damaged_version_does_not_stand_in_the_way(store, tiny):
    (store.directory / store.versions()[0] / MANIFEST_FILE).write_bytes(b"{")
    manifest = train_version(store, tiny.data, QUICK, NoProgress())
    store.activate(manifest["version"])
    assert manifest["parent"] is None


def test_too_few_customers_are_refused(tmp_path):
    csv = tmp_path / "few.csv"
    tiny_customers(rows=9).to_csv(csv, index=False)
    with pytest.raises(DataRefused, match="27 distinct customers are too few for 3 segments; at least 30"):
        train(read_customers(csv), QUICK, None, 1, NoProgress())


def test_many_copies_of_few_customers_are_still_few(tmp_path):
    csv = tmp_path / "copies.csv"
    pd.concat([tiny_customers(rows=9).drop(columns=CUST_ID)] * 40).to_csv(csv, index=False)
    with pytest.raises(DataRefused, match="27 distinct customers are too few"):
        train(read_customers(csv), QUICK, None, 1, NoProgress())
