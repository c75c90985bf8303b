"""Drift and preview on the command line."""

from __future__ import annotations

import numpy as np
import orjson
import pandas as pd
import pytest
from analysed_customers import columns_of, tiny_predictor
from click.testing import CliRunner, Result
from model_customers import tiny_customers
from registry_changes import copy_version, only_version

from model_service.__main__ import main
from model_service.analysis.drift import DriftCounter
from model_service.analysis.preview import PreviewCounter
from model_service.store.artefact import sign
from shared.features import CUST_ID, FEATURES


@pytest.fixture
def csv(tmp_path):
    tiny_customers(seed=2, rows=100).to_csv(tmp_path / "now.csv", index=False)
    return tmp_path / "now.csv"


@pytest.fixture
def run(store):
    def call(*arguments, status=0) -> Result:
        done = CliRunner().invoke(main, [*map(str, arguments), "--store", str(store.directory)])
        assert done.exit_code == status, done.output
        assert "Traceback" not in done.output
        return done

    return call


@pytest.fixture
def candidate(store):
    segments = store.manifest(only_version(store))["segments"]
    return copy_version(store, segments=[{**s, "id": s["id"].replace("seg-02", "seg-09")} for s in segments])


def test_drift_as_json_is_what_the_counter_says(run, csv, tiny):
    counter = DriftCounter(tiny_predictor(tiny))
    counter.add(columns_of(pd.read_csv(csv)))
    found = orjson.loads(run("drift", csv, "--json").stdout)
    assert counter.result(found["as_of"]) == found


def test_drift_is_told_as_tables_and_sentences(run, csv, store):
    text = run("drift", csv, "--version", only_version(store)).stdout
    assert f"300 customers compared with the training data of {only_version(store)}: stable" in text
    for feature in FEATURES:
        assert f"\n{feature.name} " in text
    assert "\nseg-01" in text
    assert "distance to the segment's centroid: median " in text
    assert "- What this cannot see: " in text


def test_too_few_customers_are_told(run, csv, tmp_path):
    pd.read_csv(csv).head(150).to_csv(tmp_path / "few.csv", index=False)
    text = run("drift", tmp_path / "few.csv").stdout
    assert ": not enough data\n" in text
    assert "- 150 customers are too few for a verdict" in text


def test_what_training_refuses_is_drift_here(run, csv, tmp_path):
    table = pd.read_csv(csv).assign(TENURE=12, MINIMUM_PAYMENTS=np.nan)
    table.to_csv(tmp_path / "broken.csv", index=False)
    text = run("drift", tmp_path / "broken.csv").stdout
    assert ": retrain\n" in text
    assert "Minimum payments in 12 months: shifted (severe" in text
    assert "Months as a customer: shifted (severe" in text


def test_preview_as_json_is_what_the_counter_says(run, csv, tiny, store, candidate):
    table = pd.read_csv(csv)
    predictor = tiny_predictor(tiny)
    counter = PreviewCounter(predictor, predictor)
    counter.add(columns_of(table), table[CUST_ID].tolist())
    same = orjson.loads(run("preview", "active", csv, "--json").stdout)
    assert counter.result(same["as_of"]) == same
    found = orjson.loads(run("preview", candidate, csv, "--json").stdout)
    assert (found["candidate"], found["active"]) == (candidate, store.active.read()["version"])
    assert found["moved"]["customers"] == 100
    assert {m["CUST_ID"] for m in found["customers"]} < set(table[CUST_ID])


def test_preview_is_told_as_tables_and_sentences(run, csv, store, candidate):
    text = run("preview", candidate, csv).stdout
    assert f"300 customers if {candidate} replaces {store.active.read()['version']}" in text
    assert "before / after  seg-01  seg-09  seg-03" in text
    assert "seg-02               .     100       ." in text
    assert "(retired)" in text
    assert "(new)" in text
    assert "- 100 of 300 customers move (33.3%)" in text
    assert "most affected  before  confidence" in text


@pytest.mark.parametrize("command", [["drift"], ["preview"]])
def test_columns_may_be_mapped_and_files_be_ndjson(run, csv, tmp_path, candidate, command):
    table = pd.read_csv(csv).rename(columns={"BALANCE": "Saldo"})
    table.to_json(tmp_path / "now.ndjson", orient="records", lines=True)
    command = [*command, *([candidate] if command == ["preview"] else []), tmp_path / "now.ndjson"]
    done = run(*command, "--columns", "BALANCE:saldo")
    assert "300 customers " in done.stdout
    assert "note: BALANCE is read from 'Saldo'" in done.stderr
    assert "Saldo is not a known field" in run(*command, status=1).stderr


def test_customers_without_ids_have_none(run, tmp_path, candidate):
    tiny_customers(seed=2, rows=100).drop(columns=CUST_ID).to_parquet(tmp_path / "now.parquet")
    assert "(no id)" in run("preview", candidate, tmp_path / "now.parquet").stdout


def test_faulty_rows_are_left_out_and_named(run, csv, tmp_path, candidate):
    table = pd.read_csv(csv)
    table.loc[0, "BALANCE"] = -1
    table.to_csv(tmp_path / "faulty.csv", index=False)
    done = run("preview", candidate, tmp_path / "faulty.csv", "--json")
    assert "note: line 2: BALANCE must be at least 0" in done.stderr
    found = orjson.loads(done.stdout)
    assert found["rows"] == 299
    assert all(m["balance"] == table.set_index(CUST_ID)["BALANCE"][m["CUST_ID"]] for m in found["customers"])


def test_what_cannot_be_read_is_one_clear_line(run, csv, tmp_path):
    (tmp_path / "no.csv").write_text("A,B\n1,2\n")
    assert "2 columns, 'A', 'B', separated by commas" in run("drift", tmp_path / "no.csv", status=1).stderr
    assert "no model version 'nope'" in run("drift", csv, "--version", "nope", status=1).stderr
    assert "no model version 'nope'" in run("preview", "nope", csv, status=1).stderr
    assert run("drift", tmp_path / "absent.csv", status=2).stderr.endswith("does not exist.\n")


def test_without_a_model_there_is_nothing_to_compare_with(csv, tmp_path):
    done = CliRunner().invoke(main, ["drift", str(csv), "--store", str(tmp_path / "empty")])
    assert done.exit_code == 1
    assert "No model is active" in done.stderr


def test_a_version_without_evidence_is_told(run, csv, store):
    path = store.path(only_version(store)) / "manifest.json"
    manifest = orjson.loads(path.read_bytes())
    del manifest["evidence"]
    path.write_bytes(orjson.dumps(manifest))
    sign(path.parent, path.read_bytes(), store.signer)
    assert "was trained before drift could be measured" in run("drift", csv, status=1).stderr
