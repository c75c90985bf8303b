from __future__ import annotations

import numpy as np
import pytest

from model_service.scoring.pipeline import Parameters
from model_service.training.matching import MAX_DISTANCE, hungarian, identify
from shared.features import DISTANCE_NAMES

N = len(DISTANCE_NAMES)


def parameters(*positions: float, scale: float = 1.0) -> Parameters:
    """Centroids that differ in the first feature only, at these positions in log units."""
    log = np.zeros((len(positions), N))
    log[:, 0] = positions
    return Parameters(np.zeros(N), np.zeros(N), np.full(N, scale), log / scale)


def parent(*positions: float, features=DISTANCE_NAMES) -> dict:
    """A manifest whose segments, in cluster order, are seg-01, seg-02, …"""
    return {
        "features": list(features),
        "parameters": parameters(*positions).as_json(),
        "segments": [{"cluster": i, "id": f"seg-{i + 1:02d}", "name": f"Name {i + 1}"} for i in range(len(positions))],
    }


def test_centroids_are_paired_so_that_the_sum_is_smallest():
    # Greedy would give 2.0 to 2.9 first (0.9) and leave 1.0 with 0.0; crossing costs more in all.
    pairs = hungarian(parameters(2.9, 1.0).log_centroids(), parameters(0.0, 2.0))
    assert [(new, old) for new, old, _ in pairs] == [(0, 1), (1, 0)]
    assert [distance for *_, distance in pairs] == pytest.approx([0.9, 1.0])


def test_the_scalers_of_two_fits_may_differ():
    pairs = hungarian(parameters(5.0, 0.0, scale=7.0).log_centroids(), parameters(0.0, 5.0, scale=2.0))
    assert [(new, old) for new, old, _ in pairs] == [(0, 1), (1, 0)]
    assert [distance for *_, distance in pairs] == pytest.approx([0.0, 0.0])


def test_first_ids_are_given_by_share():
    identity = identify(parameters(0.0, 5.0, 10.0), [0.2, 0.5, 0.3], None, 1)
    assert identity.ids == ["seg-03", "seg-01", "seg-02"]
    assert identity.names == {}
    assert [m["status"] for m in identity.matches] == ["new"] * 3
    assert (identity.retired, identity.next_number) == ([], 4)


def test_a_segment_that_moved_little_keeps_id_and_name():
    identity = identify(parameters(10.1, 0.2), [0.5, 0.5], parent(0.0, 10.0), 3)
    assert identity.ids == ["seg-02", "seg-01"]
    assert identity.names == {0: "Name 2", 1: "Name 1"}
    assert [m["status"] for m in identity.matches] == ["kept", "kept"]
    assert [m["distance"] for m in identity.matches] == pytest.approx([0.1, 0.2])
    assert identity.next_number == 3


@pytest.mark.parametrize(("moved", "kept"), [(MAX_DISTANCE - 1e-6, True), (MAX_DISTANCE + 1e-6, False)])
def test_the_limit_decides_between_kept_and_new(moved, kept):
    identity = identify(parameters(moved, 10.0), [0.5, 0.5], parent(0.0, 10.0), 3)
    assert identity.ids == (["seg-01", "seg-02"] if kept else ["seg-03", "seg-02"])
    assert identity.retired == ([] if kept else ["seg-01"])


def test_more_or_fewer_segments_than_before():
    more = identify(parameters(0.0, 5.0, 10.0), [0.4, 0.3, 0.3], parent(0.0, 10.0), 7)
    assert more.ids == ["seg-01", "seg-07", "seg-02"]
    assert more.next_number == 8
    fewer = identify(parameters(10.0), [1.0], parent(0.0, 10.0), 3)
    assert fewer.ids == ["seg-02"]
    assert fewer.retired == ["seg-01"]


def test_a_parent_with_other_features_cannot_be_compared():
    identity = identify(parameters(0.0), [1.0], parent(0.0, features=["AGE"]), 2)
    assert identity.ids == ["seg-02"]
    assert identity.retired == ["seg-01"]


CONSTANT = DISTANCE_NAMES[1]
OTHERS = [name for name in DISTANCE_NAMES if name != CONSTANT]


def without_constant(*positions: float) -> Parameters:
    whole = parameters(*positions)
    return Parameters(whole.fill[1:], whole.mean[1:], whole.scale[1:], np.delete(whole.centroids, 1, axis=1))


def left_out(value: float | None) -> list[dict]:
    return [{"feature": CONSTANT, "reason": "", "value": value}]


@pytest.mark.parametrize(
    ("value", "kept"), [(0.0, True), (np.expm1(0.9), True), (np.expm1(1.1), False), (None, True)], ids=str
)
def test_a_feature_that_was_left_out_has_the_place_of_its_constant(value, kept):
    """The parent's segments lie at 0 on it; what is unknown cannot be compared."""
    expected = ["seg-01", "seg-02"] if kept else ["seg-03", "seg-04"]
    new = identify(without_constant(0.0, 10.0), [0.5, 0.5], parent(0.0, 10.0), 3, OTHERS, left_out(value))
    assert new.ids == expected
    # And the other way round: the parent left it out, the new segments lie at 0.
    older = parent(features=OTHERS) | {"segments": parent(0.0, 10.0)["segments"]}
    older |= {"parameters": without_constant(0.0, 10.0).as_json(), "left_out": left_out(value)}
    assert identify(parameters(0.0, 10.0), [0.5, 0.5], older, 3).ids == expected


def test_with_few_features_in_common_nothing_is_compared():
    half = [f"OLD_{i}" if i % 2 == 0 else name for i, name in enumerate(DISTANCE_NAMES)]
    assert identify(parameters(0.0, 10.0), [0.5, 0.5], parent(0.0, 10.0, features=half), 3).ids == ["seg-03", "seg-04"]
