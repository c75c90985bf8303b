from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from analysed_customers import changed, columns_of, cut, tiny_columns, tiny_predictor
from hypothesis import given, settings
from hypothesis import strategies as st

from model_service.analysis.preview import NAMED, Moves, PreviewCounter, TopMovers, remarks
from model_service.scoring.pipeline import CompiledScorer
from model_service.scoring.predictor import Predictor
from model_service.scoring.rows import distance_matrix
from model_service.store.artefact import LoadedModel
from shared.model_contract import Moved, Preview, PreviewSegment

NOW = "2030-01-02T03:04:05Z"
IDS = [f"C{i:03}" for i in range(300)]


@pytest.fixture(scope="module")
def active(tiny):
    return tiny_predictor(tiny)


def with_segments(predictor, version="candidate", **ids: str):
    """Return a predictor of the same model in which these segments have other ids."""
    segments = [{**s, "id": ids.get(s["id"].replace("-", "_"), s["id"])} for s in predictor.manifest["segments"]]
    return changed(predictor, version=version, segments=segments)


def permuted(predictor, order):
    """Return a predictor of the same model whose clusters have other numbers."""
    parameters = predictor.model.scorer.parameters
    turned = dataclasses.replace(parameters, centroids=parameters.centroids[order])
    segments = [{**s, "cluster": order.index(s["cluster"])} for s in predictor.manifest["segments"]]
    manifest = {**predictor.manifest, "segments": segments, "version": "permuted"}
    return Predictor(LoadedModel(manifest, CompiledScorer(turned)))


def retrained(predictor):
    """Return a predictor whose centroids are so much elsewhere that about half of the customers move."""
    parameters = predictor.model.scorer.parameters
    moved = parameters.centroids.copy()
    moved[0] = parameters.centroids[:2].mean(axis=0)
    scorer = CompiledScorer(dataclasses.replace(parameters, centroids=moved[[0, 2, 1]]))
    return Predictor(LoadedModel({**predictor.manifest, "version": "retrained"}, scorer))


def preview_of(active, candidate, *blocks, ids=None):
    counter = PreviewCounter(active, candidate)
    for block in blocks:
        counter.add(block, ids)
    return counter.result(NOW)


def test_the_active_version_moves_nobody(active):
    preview = preview_of(active, active, tiny_columns(), ids=IDS)
    assert preview["moved"] == Moved(
        customers=0, share=0.0, balance=0.0, balance_share=0.0, credit_limit=0.0, credit_limit_share=0.0
    )
    assert (preview["rows"], preview["as_of"], preview["customers"]) == (300, NOW, [])
    assert np.array(preview["transitions"]).trace() == 300
    assert {s["status"] for s in [*preview["before"], *preview["after"]]} == {"kept"}
    assert preview["remarks"] == ["The candidate is the active version: nobody moves."]


@pytest.mark.parametrize("order", [[1, 2, 0], [2, 1, 0], [0, 2, 1]])
def test_clusters_that_are_only_numbered_otherwise_move_nobody(active, order):
    preview = preview_of(active, permuted(active, order), tiny_columns())
    assert preview["moved"]["customers"] == 0
    assert [s["id"] for s in preview["after"]] == [s["id"] for s in preview["before"]]
    assert np.array(preview["transitions"]).trace() == 300
    assert preview["remarks"] == ["None of the 300 customers moves."]


def test_customers_and_money_of_a_segment_with_a_new_id_move(active):
    columns = tiny_columns()
    labels = np.array(active.score_columns(distance_matrix(columns))["cluster"])
    cluster = next(s["cluster"] for s in active.manifest["segments"] if s["id"] == "seg-02")
    mine = labels == cluster
    preview = preview_of(active, with_segments(active, seg_02="seg-09"), columns, ids=IDS)
    moved = preview["moved"]
    assert moved["customers"] == mine.sum()
    assert moved["share"] == pytest.approx(mine.mean(), abs=1e-6)
    assert moved["balance"] == pytest.approx(columns["BALANCE"][mine].sum(), abs=0.01)
    assert moved["balance_share"] == pytest.approx(columns["BALANCE"][mine].sum() / columns["BALANCE"].sum(), abs=1e-6)
    limits = columns["CREDIT_LIMIT"]
    assert np.isnan(limits[mine]).any(), "unknown limits are left out of the sums"
    assert moved["credit_limit"] == pytest.approx(np.nansum(limits[mine]), abs=0.01)
    assert moved["credit_limit_share"] == pytest.approx(np.nansum(limits[mine]) / np.nansum(limits), abs=1e-6)
    assert [(s["id"], s["status"]) for s in preview["before"]] == [
        ("seg-01", "kept"), ("seg-02", "retired"), ("seg-03", "kept")
    ]  # fmt: skip
    assert [(s["id"], s["status"]) for s in preview["after"]] == [
        ("seg-01", "kept"), ("seg-09", "new"), ("seg-03", "kept")
    ]  # fmt: skip
    assert preview["transitions"][1] == [0, mine.sum(), 0]
    name = preview["before"][1]["name"]
    assert f"seg-02 ({name}) is retired; of its 100 customers, 100.0% go to seg-09." in preview["remarks"]
    assert f"seg-09 ({name}) is new; of its 100 customers, 100.0% come from seg-02." in preview["remarks"]


def test_the_movers_with_the_largest_balance_are_named(active):
    columns = tiny_columns()
    preview = preview_of(active, with_segments(active, seg_02="seg-09"), columns, ids=IDS)
    labels = np.array(active.score_columns(distance_matrix(columns))["cluster"])
    mine = np.flatnonzero(labels == preview_cluster(active, "seg-02"))
    richest = mine[np.argsort(-columns["BALANCE"][mine])][:NAMED]
    assert [m["CUST_ID"] for m in preview["customers"]] == [IDS[i] for i in richest]
    for mover, place in zip(preview["customers"], richest, strict=True):
        limit = columns["CREDIT_LIMIT"][place]
        assert (mover["before"], mover["after"]) == ("seg-02", "seg-09")
        assert mover["balance"] == columns["BALANCE"][place]
        assert mover["credit_limit"] == (None if np.isnan(limit) else limit)
        assert mover["confidence_before"] == mover["confidence_after"] >= 0.9
    without = preview_of(active, with_segments(active, seg_02="seg-09"), columns)
    assert without["customers"] == [{**m, "CUST_ID": None} for m in preview["customers"]]


def preview_cluster(predictor, identity):
    return next(s["cluster"] for s in predictor.manifest["segments"] if s["id"] == identity)


def test_names_are_those_that_people_gave(active):
    label = {"name": "Ours", "description": None, "owner": None, "derived_name": "", "changed_at": "", "changed_by": ""}
    named = Predictor(active.model, {"seg-01": label})
    preview = preview_of(named, named, tiny_columns())
    assert [s["name"] for s in preview["before"] + preview["after"] if s["id"] == "seg-01"] == ["Ours", "Ours"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=5), st.randoms(use_true_random=False))
def test_the_split_into_blocks_and_their_order_do_not_matter(active, at, random):
    columns, candidate = tiny_columns(), retrained(active)
    blocks = list(zip(cut(columns, at), np.split(np.array(IDS), sorted(at)), strict=True))
    random.shuffle(blocks)
    counter = PreviewCounter(active, candidate)
    for block, ids in blocks:
        counter.add(block, ids.tolist())
    found, whole = counter.result(NOW), preview_of(active, candidate, columns, ids=IDS)
    assert whole["moved"]["customers"] > NAMED
    moved, whole_moved = found.pop("moved"), whole.pop("moved")
    assert moved == pytest.approx(whole_moved, abs=0.01)
    assert found == whole


def test_the_matrix_counts_every_customer_once(active):
    columns, candidate = tiny_columns(), retrained(active)
    preview = preview_of(active, candidate, columns)
    rows = distance_matrix(columns)
    ids = [
        [next(s["id"] for s in p.manifest["segments"] if s["cluster"] == c) for c in p.score_columns(rows)["cluster"]]
        for p in (active, candidate)
    ]
    expected = Counter(zip(*ids, strict=True))
    for i, before in enumerate(preview["before"]):
        for j, after in enumerate(preview["after"]):
            assert preview["transitions"][i][j] == expected[before["id"], after["id"]]
    assert preview["moved"]["customers"] == sum(n for (before, after), n in expected.items() if before != after)


def test_nobody_is_no_fault(active):
    preview = preview_of(active, with_segments(active, seg_02="seg-09"))
    assert (preview["rows"], preview["moved"]["share"], preview["customers"]) == (0, 0.0, [])
    assert "seg-02" in preview["remarks"][1]
    assert preview["remarks"][1].endswith("it has no customers here.")


def test_customers_without_money_have_no_share_of_it(active):
    columns = tiny_columns()
    columns["BALANCE"][:] = 0
    columns["CREDIT_LIMIT"][:] = np.nan
    moved = preview_of(active, with_segments(active, seg_01="x", seg_02="y", seg_03="z"), columns)["moved"]
    assert moved["share"] == 1.0
    assert (moved["balance_share"], moved["credit_limit_share"], moved["credit_limit"]) == (0.0, 0.0, 0.0)


def moves(balance, confidence, ids=None):
    n = len(balance)
    sure = np.array(confidence, dtype=np.float64)
    money = np.array(balance, dtype=np.float64)
    return Moves(ids, ["a"] * n, ["b"] * n, sure, np.ones(n), money, np.full(n, np.nan))


def test_movers_of_whom_both_versions_are_sure_come_first():
    top = TopMovers()
    top.add(moves([1, 9, 5, 7], [0.95, 0.5, 0.9, 0.89]))
    assert [m["balance"] for m in top.movers] == [5, 1, 9, 7]
    assert top.sure == 2


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.5, 0.95])), max_size=80),
    st.integers(0, 80),
)
def test_the_top_is_that_of_a_full_sort(customers, at):
    ids = [f"C{i:02}" for i in range(len(customers))]
    top = TopMovers()
    for part in (slice(0, at), slice(at, None)):
        top.add(moves([b for b, _ in customers[part]], [c for _, c in customers[part]], ids[part]))
    rank = sorted(
        (confidence < 0.9, -balance, identity) for (balance, confidence), identity in zip(customers, ids, strict=True)
    )
    assert [m["CUST_ID"] for m in top.movers] == [identity for *_, identity in rank[:NAMED]]


def test_a_kept_segment_that_loses_many_is_told():
    segments = [PreviewSegment(id=f"seg-0{i}", name="N", status="kept") for i in (1, 2, 3)]
    preview = Preview(
        candidate="b", active="a", rows=300, as_of=NOW, before=segments, after=segments, customers=[],
        transitions=[[70, 25, 5], [9, 91, 0], [0, 0, 100]],
        moved=Moved(customers=39, share=0.13, balance=1, balance_share=0.5, credit_limit=1, credit_limit_share=0.25),
    )  # fmt: skip
    assert remarks(preview, 0) == [
        "39 of 300 customers move (13.0%), with 50.0% of all balances and 25.0% of all known limits.",
        "Of those who move, both versions are sure (confidence 0.9 or more) of none.",
        "seg-01 (N) loses 30.0%; of its 100 customers, 25.0% go to seg-02.",
    ]


def test_the_training_customers_can_be_previewed(active, tiny):
    preview = preview_of(active, retrained(active), columns_of(tiny.data.frame))
    assert preview["rows"] == 180
