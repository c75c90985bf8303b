"""A bank whose customers are all alike in something: that is left out of the distance, and everything else still works.

Here all cards are a year old, nobody takes cash, and hardly any minimum payment is known.
"""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from analysed_customers import columns_of
from model_customers import TINY_K, tiny_customers

from model_service.analysis.drift import DriftCounter
from model_service.analysis.preview import PreviewCounter
from model_service.api.open_inference.routes import MODEL
from model_service.report import document
from model_service.scoring.predictor import Predictor
from model_service.scoring.rows import distance_matrix
from model_service.store.description import describe_version
from model_service.store.registry import ModelStore
from model_service.training.dataset import read_customers
from model_service.training.parallel import NoProgress
from model_service.training.trainer import Options, train_version
from shared.contract import EXPLAIN_MOVE, PREDICT
from shared.features import DISTANCE_NAMES, INPUT_NAMES

CASH = ("CASH_ADVANCE", "CASH_ADVANCE_FREQUENCY", "CASH_ADVANCE_TRX")
LEFT_OUT = {*CASH, "MINIMUM_PAYMENTS", "TENURE"}
COUNTING = [name for name in DISTANCE_NAMES if name not in LEFT_OUT]


def plain_customers(seed: int = 0):
    return tiny_customers(seed).assign(TENURE=12, MINIMUM_PAYMENTS=np.nan, **dict.fromkeys(CASH, 0))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A store whose active version was trained on such customers."""
    directory = tmp_path_factory.mktemp("plain")
    plain_customers().to_csv(directory / "plain.csv", index=False)
    store = ModelStore(directory / "models")
    data = read_customers(directory / "plain.csv")
    store.activate(train_version(store, data, Options(ks=(TINY_K,)), NoProgress())["version"], "test")
    return store


@pytest.fixture(scope="module")
def predictor(plain):
    return Predictor(plain.load(plain.versions()[0]))


def customer(**changes):
    values = {name: value for name, value in plain_customers().iloc[1].items() if name in INPUT_NAMES}
    return {name: None if value != value else float(value) for name, value in values.items()} | changes


def test_the_manifest_and_the_description_say_what_was_left_out_and_why(plain):
    version = plain.versions()[0]
    manifest = plain.manifest(version)
    assert manifest["features"] == COUNTING
    assert {left["feature"] for left in manifest["left_out"]} == LEFT_OUT
    assert describe_version(plain, version)["left_out"] == manifest["left_out"]
    assert manifest["ranges"]["TENURE"] == {"low": 12, "high": 12}
    assert "MINIMUM_PAYMENTS" not in manifest["ranges"]
    assert orjson.loads(orjson.dumps(manifest)) == manifest, "no number that JSON does not have"


def test_no_name_is_made_of_what_does_not_count(plain):
    for segment in plain.manifest(plain.versions()[0])["segments"]:
        assert not {"cash", "new", "revolving-cash"} & set(segment["name"].lower().replace("-", " ").split())
        for name in (*CASH, "TENURE"):
            assert segment["profile"][name]["z"] == 0
        assert "MINIMUM_PAYMENTS" not in segment["profile"]


def test_what_does_not_count_changes_nothing_but_a_warning(predictor):
    rows = np.array([[customer(**changes)[name] for name in DISTANCE_NAMES] for changes in ({}, {"TENURE": 6})], float)
    usual, other = predictor.predict_batch(rows)
    assert [usual] == [predictor.predict_one(rows[0])]
    assert [other] == [predictor.predict_one(rows[1])]
    assert {k: v for k, v in other.items() if k != "warnings"} == {k: v for k, v in usual.items() if k != "warnings"}
    assert usual["imputed"] == []
    assert [w["pointer"] for w in other["warnings"]] == ["/TENURE"]


def test_an_explanation_says_what_was_left_out(connect, plain):
    client = connect(model_store=plain.directory)
    explanation = client.post(f"{PREDICT}?explain=true", customer(TENURE=7, CASH_ADVANCE=100)).json()["explanation"]
    left_out = {c["feature"]: c["contribution"] for c in explanation["contributions"] if c.get("left_out")}
    assert left_out == dict.fromkeys(LEFT_OUT, 0)
    assert sum(c["contribution"] for c in explanation["contributions"]) == pytest.approx(explanation["gap"], abs=1e-9)
    assert not any(word in explanation["sentence"] for word in ("cash", "the card was used", "minimum"))


def test_what_was_left_out_moves_nobody(connect, plain):
    client = connect(model_store=plain.directory)
    changes = {"BALANCE": [10, 2000], "TENURE": [12, 6], "CASH_ADVANCE": [0, 5], "AVERAGE_PURCHASE_TRX": [1.5, None]}
    ids = [segment["id"] for segment in plain.manifest(plain.versions()[0])["segments"]]
    answer = client.post(EXPLAIN_MOVE, {"from": ids[0], "to": ids[1], "changes": changes}).json()
    counting, *others = answer["contributions"]
    assert (counting["feature"], counting["share"]) == ("BALANCE", 1)
    assert counting["contribution"] == answer["change"] != 0
    assert {c["feature"]: (c["contribution"], c["left_out"]) for c in others} == dict.fromkeys(
        [c["feature"] for c in others], (0, True)
    )
    assert {c["sentence"] for c in others} == {
        "The time as a customer is 6 months instead of 12 months, which this model does not look at.",
        "Cash advances in 12 months come to 5 instead of 0, which this model does not look at.",
        "The average purchase is unknown instead of 1.5, which this model does not look at.",
    }


def test_the_other_interfaces_take_the_same_customers(connect, plain):
    client = connect(model_store=plain.directory)
    metadata = client.get(f"/v2/models/{MODEL}").json()
    assert [tensor["name"] for tensor in metadata["inputs"]] == list(INPUT_NAMES)
    inputs = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in customer().items()
        if value is not None
    ]
    assert client.post(f"/v2/models/{MODEL}/infer", {"inputs": inputs}).status == 200
    lacking = {name: value for name, value in customer().items() if name != "TENURE"}
    assert client.post(PREDICT, lacking).status == 422, "the dictionary requires it still"


def test_a_constant_that_is_none_any_more_has_drifted(predictor):
    table = plain_customers()
    table.loc[::2, "TENURE"] = 7
    counter = DriftCounter(predictor)
    for _ in range(2):
        counter.add(columns_of(table))
    drift = counter.result("2030-01-01T00:00:00Z")
    tiers = {f["feature"]: f["tier"] for f in drift["features"]}
    assert tiers.pop("TENURE") == "severe"
    assert set(tiers.values()) == {"none"}


def test_its_report_and_plots_are_drawn_also_against_a_parent_with_more_features(plain, tiny, tmp_path, monkeypatch):
    concerned = {"profile", "composites", "map", "transitions"}
    monkeypatch.setattr(document, "PLOTS", [plot for plot in document.PLOTS if plot.name in concerned])
    manifest, data = plain.manifest(plain.versions()[0]), read_customers(plain.directory.parent / "plain.csv")
    parent_store = ModelStore(tiny.store)
    document.write(tmp_path, manifest, data, parent_store.manifest(parent_store.versions()[0]))
    text = (tmp_path / "report.html").read_text()
    assert "TENURE is left out of the distance: it has the same value in every row (12 months)" in text
    drawn = [plot["name"] for plot in orjson.loads((tmp_path / "plots" / "index.json").read_bytes())]
    assert set(drawn) == concerned


@pytest.mark.usefixtures("few_refits")
@pytest.mark.parametrize("first", ["all features", "some left out"])
def test_a_retraining_on_such_customers_keeps_its_segments(tmp_path, first):
    """The kinds of customers are the same ones, whether a column tells them apart a little or not at all."""
    varied, alike = tiny_customers(), tiny_customers(seed=1).assign(TENURE=12)
    varied["TENURE"] = np.tile([11, 12, 12], len(varied) // 3)
    tables = [varied, alike] if first == "all features" else [alike, varied]
    store = ModelStore(tmp_path / "models")
    for table in tables:
        table.to_csv(tmp_path / "customers.csv", index=False)
        manifest = train_version(store, read_customers(tmp_path / "customers.csv"), Options(ks=(TINY_K,)), NoProgress())
        store.activate(manifest["version"], "test", force=True)
    assert [s["match"]["status"] for s in manifest["segments"]] == ["kept"] * TINY_K
    match = next(c for c in store.gate(manifest["version"])["checks"] if c["check"] == "match")
    assert match["passed"], match["detail"]
    before, after = (Predictor(store.load(version)) for version in store.versions())
    columns = columns_of(alike)
    preview = PreviewCounter(before, after)
    preview.add(columns, None)
    assert preview.result("2030-01-01T00:00:00Z")["moved"]["customers"] == 0
    assert len(distance_matrix(columns)) == len(alike)
