from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_service.scoring.pipeline import Parameters
from model_service.store.gate import MAX_DISTANCE, MIN_SHARE, MIN_STABILITY, judge
from model_service.store.registry import ModelStore
from shared.model_contract import Label


@pytest.fixture
def active(tiny):
    store = ModelStore(tiny.store)
    return store.manifest(store.versions()[0])


@pytest.fixture
def candidate(active):
    return copy.deepcopy(active) | {"version": "candidate"}


def passed(candidate, active, labels=None):
    return {check["check"]: check["passed"] for check in judge(candidate, active, labels or {})}


def failed(candidate, active, labels=None):
    return {check["check"]: check["detail"] for check in judge(candidate, active, labels or {}) if not check["passed"]}


def set_stability(manifest, value):
    manifest["scores"] = [{"k": 99, "stability_mean": 1.0}, {"k": manifest["k"], "stability_mean": value}]


def set_smallest(manifest, share):
    manifest["segments"][-1]["share"] = share


def move(manifest, segment, distance):
    centroids = manifest["parameters"]["centroids"]
    centroids[segment["cluster"]][0] += distance


def label(name):
    return Label(name=name, description=None, owner=None, derived_name="", changed_at="", changed_by="")


def test_an_equal_model_passes(candidate, active):
    assert passed(candidate, active) == dict.fromkeys(["stability", "smallest_share", "match", "names"], True)


@pytest.mark.parametrize(
    ("own", "theirs", "passes"),
    [
        (MIN_STABILITY, 0.99, True),
        (MIN_STABILITY - 1e-9, 0.99, False),
        (0.6, 0.6, True),
        (0.6 - 1e-9, 0.6, False),
        (float("nan"), 0.6, False),
        (None, 0.6, False),
        (None, None, False),
        (MIN_STABILITY, None, True),
        (MIN_STABILITY - 1e-9, None, False),
        (0.0, 0.0, True),
    ],
)
def test_stability_must_be_enough_or_no_worse(candidate, active, own, theirs, passes):
    set_stability(candidate, own)
    set_stability(active, theirs)
    assert passed(candidate, active)["stability"] is passes


def test_stability_that_was_not_measured_is_said(candidate, active):
    candidate["scores"] = []
    assert "not measured" in failed(candidate, active)["stability"]


@pytest.mark.parametrize(
    ("own", "theirs", "passes"),
    [(MIN_SHARE, 0.2, True), (MIN_SHARE - 1e-9, 0.2, False), (0.02, 0.02, True), (0.02 - 1e-9, 0.02, False)],
)
def test_the_smallest_segment_must_be_large_enough_or_no_smaller(candidate, active, own, theirs, passes):
    set_smallest(candidate, own)
    set_smallest(active, theirs)
    assert passed(candidate, active)["smallest_share"] is passes
    if not passes:
        assert candidate["segments"][-1]["id"] in failed(candidate, active)["smallest_share"]


@pytest.mark.parametrize(("distance", "passes"), [(MAX_DISTANCE - 1e-6, True), (MAX_DISTANCE + 1e-6, False)])
def test_every_segment_must_stay_where_it_is(candidate, active, distance, passes):
    move(candidate, candidate["segments"][1], distance)
    assert passed(candidate, active)["match"] is passes
    if not passes:
        detail = failed(candidate, active)["match"]
        assert candidate["segments"][1]["id"] in detail
        assert candidate["segments"][0]["id"] not in detail


def test_segments_that_would_be_retired_are_named(candidate, active):
    candidate["segments"][0]["id"] = "seg-08"
    candidate["segments"][2]["id"] = "seg-09"
    detail = failed(candidate, active)["match"]
    assert "seg-01 would be retired" in detail
    assert "seg-03 would be retired" in detail
    assert "seg-02" not in detail


def test_swapped_ids_are_no_match_although_every_id_exists(candidate, active):
    first, second = candidate["segments"][:2]
    first["id"], second["id"] = second["id"], first["id"]
    assert {"seg-01", "seg-02"} <= set(failed(candidate, active)["match"].replace(";", " ").split())


def test_other_features_cannot_be_compared(candidate, active):
    active["features"] = ["AGE"]
    assert "other features" in failed(candidate, active)["match"]


@given(seed=st.integers(0, 2**32 - 1))
def test_each_model_has_its_own_space_and_only_the_place_in_log_units_counts(tiny, seed):
    store = ModelStore(tiny.store)
    active = store.manifest(store.versions()[0])
    generator, was = np.random.default_rng(seed), Parameters.from_json(active["parameters"])
    mean = was.mean + generator.normal(size=was.mean.shape)
    scale = was.scale * generator.uniform(0.2, 5, was.scale.shape)
    order = generator.permutation(active["k"])
    moved = Parameters(was.fill, mean, scale, ((was.log_centroids() - mean) / scale)[order])
    places = {int(old): new for new, old in enumerate(order)}
    candidate = copy.deepcopy(active)
    candidate["parameters"] = moved.as_json()
    for segment in candidate["segments"]:
        segment["cluster"] = places[segment["cluster"]]
    assert failed(candidate, active) == {}


def test_equal_names_are_refused(candidate, active):
    candidate["segments"][1]["name"] = candidate["segments"][0]["name"].upper()
    detail = failed(candidate, active)["names"]
    assert "seg-01 and seg-02" in detail


def test_a_persons_name_counts_as_the_segments_name(candidate, active):
    own = candidate["segments"][0]["name"]
    assert "names" in failed(candidate, active, {"seg-02": label(own)})
    assert failed(candidate, active, {"seg-01": label("X"), "seg-02": label(own)}) == {}


def test_a_name_that_people_gave_to_a_segment_of_another_version_counts(candidate, active):
    assert "seg-77" in failed(candidate, active, {"seg-77": label(candidate["segments"][0]["name"])})["names"]
    assert failed(candidate, active, {"seg-77": label(None)}) == {}


def test_without_an_active_model_only_names_can_be_wrong(candidate):
    set_stability(candidate, 0.0)
    set_smallest(candidate, 0.0)
    assert failed(candidate, None) == {}
    candidate["segments"][1]["name"] = candidate["segments"][0]["name"]
    assert set(failed(candidate, None)) == {"names"}


def test_every_answer_has_a_reason(candidate, active):
    assert all(check["detail"] for check in judge(candidate, active, {}) + judge(candidate, None, {}))
