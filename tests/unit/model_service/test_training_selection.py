from __future__ import annotations

import pandas as pd
import pytest
from training_progress import Watched

from model_service.training import parallel, selection
from model_service.training.errors import DataRefused
from model_service.training.parallel import NoProgress
from model_service.training.selection import SPLITS, KScores, choose, select, work_units


def scored(k: int, stability: float, share: float) -> KScores:
    return KScores(k, 1.0, 0.2, 1.0, 100.0, stability, stability - 0.1, share)


def test_the_largest_stable_k_without_a_tiny_segment_is_chosen():
    study = [scored(3, 0.94, 0.318), scored(4, 0.60, 0.171), scored(5, 0.90, 0.153), scored(6, 0.95, 0.095)]
    k, reason = choose([*study, scored(7, 0.86, 0.049), scored(8, 0.73, 0.048)])
    assert k == 6
    assert "largest k" in reason
    assert "0.950" in reason
    assert "9.5%" in reason


def test_limits_are_inclusive():
    assert choose([scored(3, 0.9, 0.3), scored(4, 0.85, 0.05)])[0] == 4
    assert choose([scored(3, 0.9, 0.3), scored(4, 0.8499, 0.05)])[0] == 3
    assert choose([scored(3, 0.9, 0.3), scored(4, 0.85, 0.0499)])[0] == 3


def test_when_no_k_is_stable_the_most_stable_is_taken_and_it_is_said():
    k, reason = choose([scored(3, 0.5, 0.3), scored(4, 0.7, 0.2), scored(5, 0.84, 0.01)])
    assert k == 4
    assert "no k has" in reason
    assert "without a tiny segment" in reason


def test_when_every_k_has_a_tiny_segment_it_is_said_too():
    k, reason = choose([scored(3, 0.9, 0.01), scored(4, 0.7, 0.02)])
    assert k == 3
    assert "each of which has a tiny segment" in reason


def test_selection_finds_the_three_kinds_and_counts_its_work(tiny):
    watched = Watched()
    found = select(tiny.data.distance, [2, 3], 0, watched)
    assert found.k == 3
    assert watched.phases == ["trying k = 2 to 3", "measuring stability"]
    assert watched.ticks == work_units([2, 3]) == 2 * (1 + SPLITS)
    three = found.scores[1]
    assert three.stability_mean == pytest.approx(1.0)
    assert three.smallest_share == pytest.approx(1 / 3)
    assert found.pipeline.named_steps["cluster"].n_clusters == 3


def test_a_k_that_was_asked_for_is_taken(tiny):
    found = select(tiny.data.distance, [2], 0, NoProgress())
    assert found.k == 2
    assert "requested" in found.reason
    assert len(found.scores) == 1


def test_the_scores_of_large_data_come_from_a_sample(tiny, monkeypatch):
    whole = select(tiny.data.distance, [3], 0, NoProgress()).scores[0]
    monkeypatch.setattr(parallel, "STUDY_ROWS", 90)
    monkeypatch.setattr(selection, "STUDY_ROWS", 90)
    part = select(tiny.data.distance, [3], 0, NoProgress()).scores[0]
    assert part.inertia == whole.inertia
    assert part.smallest_share == whole.smallest_share
    assert part.silhouette != whole.silhouette
    assert part.silhouette == pytest.approx(whole.silhouette, abs=0.02)
    assert part.stability_mean == pytest.approx(1.0)


def test_as_good_as_one_segment_is_refused(tiny, monkeypatch):
    rows = tiny.data.distance.iloc[:60]  # one kind of customers, and one who is far from all of them
    rows = pd.concat([rows, tiny.data.distance.iloc[[-1]]], ignore_index=True)
    monkeypatch.setattr(parallel, "STUDY_ROWS", 12)
    with pytest.raises(DataRefused, match="k = 2, practically all customers"):
        select(rows, [2], 0, NoProgress())
