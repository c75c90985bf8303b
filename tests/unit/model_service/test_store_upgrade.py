"""Stores of before signatures: taken over once, by a command, with proof; never by serving."""

from __future__ import annotations

import ast
import subprocess
import sys

import joblib
import orjson
import pytest
from click.testing import CliRunner
from registry_changes import copy_version, only_version

from model_service.__main__ import main
from model_service.active_model import ActiveModel, Status
from model_service.store import artefact, files
from model_service.store.artefact import MANIFEST_FILE, MODEL_FILE, SIGNATURE_FILE
from model_service.store.errors import SignatureRefused
from model_service.store.labelling import relabel
from model_service.store.labels import LabelPatch
from model_service.store.registry import ModelStore
from model_service.store.upkeep import HISTORY, LABELS
from model_service.training.fitted import upgrade
from model_service.training.parallel import NoProgress
from model_service.training.trainer import Options, train_version
from tests.conftest import ROOT


@pytest.fixture
def old(store):
    """A store as the release before signatures left it, with two versions and a name."""
    relabel(store, "seg-01", LabelPatch(name="Friends of the house"))
    store.activate(copy_version(store), "better")
    for version in store.versions():
        (store.path(version) / SIGNATURE_FILE).unlink()
        path = store.path(version) / MANIFEST_FILE
        manifest = orjson.loads(path.read_bytes())
        del manifest["sample_clusters"]
        path.write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    (store.directory / "labels.hmac").unlink()
    for path in (store.active.path, store.active.copy):
        record = orjson.loads(path.read_bytes())
        del record["signatures"]
        path.write_bytes(orjson.dumps(record))
    return store


def manifests(store):
    return {v: orjson.loads((store.path(v) / MANIFEST_FILE).read_bytes()) for v in store.versions()}


def assert_taken_over(store):
    active = ActiveModel(store)
    active.refresh()
    assert active.status == Status(store.versions()[1], None)
    assert store.labels.read()["seg-01"]["name"] == "Friends of the house"
    assert [entry["reason"] for entry in store.active.read()["history"]] == ["test", "better"]
    for version in store.versions():
        store.load(version)


def test_an_old_store_does_not_serve_and_says_what_to_do(old):
    active = ActiveModel(old)
    active.refresh()
    assert active.predictor is None
    assert "python -m model_service upgrade" in active.status.fallback
    assert "python -m model_service upgrade" in active.status.labels


def test_an_old_store_is_taken_over_and_nothing_else_changes(old):
    before = manifests(old)
    assert [(o.what, o.fault) for o in upgrade(old)] == [(v, None) for v in (*old.versions(), HISTORY, LABELS)]
    assert_taken_over(old)
    after = manifests(old)
    for manifest in after.values():
        clusters = manifest.pop("sample_clusters")
        assert set(clusters) == set(range(3))
        assert len(clusters) == len(manifest["sample"])
    assert after == before
    assert upgrade(old) == [], "a second time there is nothing to do"


def test_whatever_stops_it_it_goes_on_from_there(old, monkeypatch):
    real, stopped = files.fsync, 0

    class Killed(BaseException):
        """As by kill -9: nothing after it is carried out."""

    for steps in range(1, 30):
        left = iter(range(steps))

        def dying(path, left=left):
            if next(left, None) is None:
                raise Killed
            real(path)

        with monkeypatch.context() as patch:
            patch.setattr(files, "fsync", dying)
            try:
                upgrade(old)
            except Killed:
                stopped += 1
            else:
                break
    assert stopped > 3
    assert_taken_over(old)


def test_a_tampered_model_is_not_unpickled(old, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    bad, good = old.versions()
    joblib.dump(Evil(), old.path(bad) / MODEL_FILE)
    outcomes = {o.what: o.fault for o in upgrade(old)}
    assert "SHA-256" in outcomes[bad]
    assert outcomes[good] is None
    assert not (tmp_path / "owned").exists()
    with pytest.raises(SignatureRefused):
        old.load(bad)


def altered(old, version, **changes):
    path = old.path(version) / MANIFEST_FILE
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | changes))


def test_what_cannot_be_proved_is_not_signed(old):
    first, second = old.versions()
    parameters = manifests(old)[first]["parameters"]
    altered(old, first, parameters=parameters | {"centroids": parameters["centroids"][::-1]})
    altered(old, second, libraries={"scikit-learn": "0.24.2"})
    outcomes = {o.what: o.fault for o in upgrade(old)}
    assert "not those in its manifest" in outcomes[first]
    assert "0.24.2" in outcomes[second]
    assert not any(artefact.is_signed(old.path(version)) for version in (first, second))


def test_what_has_a_bad_signature_is_not_signed_by_an_upgrade(store):
    version = only_version(store)
    (store.path(version) / SIGNATURE_FILE).write_text("0" * 64)
    record = orjson.loads(store.active.path.read_bytes())
    record["signatures"] = ["0" * 64]
    for path in (store.active.path, store.active.copy):
        path.write_bytes(orjson.dumps(record))
    relabelled = {o.what: o.fault for o in upgrade(store)}
    assert set(relabelled) == {version, HISTORY}
    assert all("altered" in fault for fault in relabelled.values())


def test_no_training_gives_out_segment_ids_of_versions_that_it_cannot_read(old, tiny):
    with pytest.raises(SignatureRefused, match="upgrade"):
        train_version(old, tiny.data, Options(ks=(3,)), NoProgress())
    done = CliRunner().invoke(main, ["train", str(tiny.csv), "--if-none", "--store", str(old.directory)])
    assert done.exit_code == 0
    assert "upgrade" in done.output
    assert len(old.versions()) == 2


def test_the_command_says_what_it_did(old):
    command = ["upgrade", "--store", str(old.directory)]
    (old.path(old.versions()[0]) / MODEL_FILE).write_bytes(b"rubbish")
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1
    assert f"{old.versions()[0]}: The SHA-256" in done.output
    assert f"{old.versions()[1]}: signed" in done.output
    assert f"{HISTORY}: signed" in done.output


def test_the_command_has_nothing_to_do_with_a_store_of_now(store, tmp_path):
    for directory in (store.directory, tmp_path / "none"):
        done = CliRunner().invoke(main, ["upgrade", "--store", str(directory)])
        assert (done.exit_code, done.output) == (0, "everything is signed already\n")


def test_serving_loads_nothing_that_unpickles():
    """import-linter says so of our modules; this is about what they load in turn."""
    script = "import sys, model_service.server, model_service.gunicorn_conf; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"joblib", "sklearn", "pandas", "scipy"} & set(done.stdout.split()) == set()


def test_only_tests_open_a_store_with_the_key_that_everybody_knows():
    for path in (ROOT / "model_service").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == ModelStore.__name__:
                assert len(node.args) == 2, f"{path}: {node.lineno}"
