from __future__ import annotations

import pytest

from model_service.training.selection import KScores, find_elbow, remarks


def scored(k: int, **changed: float) -> KScores:
    scores = {
        "inertia": 1000.0 / k,
        "silhouette": 0.2,
        "davies_bouldin": 1.5,
        "calinski_harabasz": 2000.0,
        "stability_mean": 0.9,
        "stability_min": 0.8,
        "smallest_share": 0.1,
    }
    return KScores(k=k, **(scores | changed))


STUDY = [
    scored(3, calinski_harabasz=2716.0, silhouette=0.229, davies_bouldin=1.67),
    scored(4, stability_mean=0.60),
    scored(5),
    scored(6, calinski_harabasz=2085.0, silhouette=0.230, davies_bouldin=1.43),
    scored(7, silhouette=0.232, davies_bouldin=1.39, stability_mean=0.843, smallest_share=0.049),
]


def bent(*inertias: float) -> list[KScores]:
    return [scored(k, inertia=inertia) for k, inertia in enumerate(inertias, start=3)]


def test_the_bend_of_the_inertia_is_found():
    elbow = find_elbow(bent(1000, 600, 250, 220, 200, 185))
    assert elbow == {"k": 5, "detail": "the inertia curve bends most at k = 5"}
    assert find_elbow(bent(1000, 600, 250, 220, 200, 185)[::-1]) == elbow, "in any order"


def test_a_straight_line_has_no_elbow():
    assert find_elbow(bent(600, 500, 400, 300)) == {
        "k": None,
        "detail": "the inertia falls from k = 3 to 6 without a clear bend",
    }


@pytest.mark.parametrize("count", [1, 2])
def test_an_elbow_takes_three_points(count):
    assert find_elbow(STUDY[:count]) == {"k": None, "detail": f"finding one takes at least 3 values of k, not {count}"}


def test_disagreements_and_near_misses_are_said():
    elbow = {"k": 5, "detail": "the inertia curve bends most at k = 5"}
    assert remarks(STUDY, 6, elbow) == [
        "silhouette 0.230: the segments are cuts through a continuum, not separate groups",
        "the elbow disagrees with k = 6: the inertia curve bends most at k = 5",
        "silhouette disagrees: it is highest, which is best, at k = 7 (0.232 against 0.230 at k = 6)",
        "Davies-Bouldin disagrees: it is lowest, which is best, at k = 7 (1.390 against 1.430 at k = 6)",
        "Calinski-Harabasz disagrees: it is highest, which is best, at k = 3 (2,716 against 2,085 at k = 6)",
        "k = 7 narrowly misses the rule: stability 0.843 (0.85 required), smallest segment 4.9% (5% required)",
    ]


def test_agreement_is_said_too():
    same = [scored(3), scored(4, silhouette=0.6, davies_bouldin=0.5, calinski_harabasz=3000.0), scored(5)]
    assert remarks(same, 4, {"k": 4, "detail": "the inertia curve bends most at k = 4"}) == [
        "silhouette 0.600: the segments are reasonably separated",
        "the elbow agrees: the inertia curve bends most at k = 4",
        "silhouette agrees: it is highest, which is best, at k = 4",
        "Davies-Bouldin agrees: it is lowest, which is best, at k = 4",
        "Calinski-Harabasz agrees: it is highest, which is best, at k = 4",
    ]


def test_a_tie_is_no_disagreement():
    assert not [r for r in remarks([scored(3), scored(4)], 4, {"k": None, "detail": ""}) if "disagrees" in r]


def test_a_single_k_has_nothing_to_be_compared_with():
    assert remarks([scored(6)], 6, find_elbow([scored(6)])) == [
        "only k = 6 was tried, so there is nothing to compare it with",
        "silhouette 0.200: the segments are cuts through a continuum, not separate groups",
    ]


@pytest.mark.parametrize(
    ("stability", "share", "near"), [(0.81, 0.1, 1), (0.80, 0.1, 0), (0.9, 0.048, 1), (0.9, 0.047, 0)]
)
def test_narrow_is_a_twentieth_of_the_limit(stability, share, near):
    found = remarks(
        [scored(6), scored(7, stability_mean=stability, smallest_share=share)], 6, {"k": None, "detail": ""}
    )
    assert sum("k = 7 narrowly misses" in remark for remark in found) == near


@pytest.mark.parametrize(
    ("silhouette", "word"),
    [(-1.0, "continuum"), (0.25, "continuum"), (0.3, "weakly"), (0.7, "reasonably"), (1.0, "strongly")],
)
def test_the_silhouette_in_words(silhouette, word):
    assert word in remarks([scored(3, silhouette=silhouette)], 3, {"k": None, "detail": ""})[1]
