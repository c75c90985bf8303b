from __future__ import annotations

import errno

import pytest
from click.testing import CliRunner
from model_customers import TINY_K

from model_service import __main__, server
from model_service.report import document
from model_service.store.registry import ModelStore
from model_service.training import trainer
from model_service.training_jobs.jobs import TrainingJobs
from shared.model_contract import GateCheck, TrainingOptions


@pytest.fixture
def run(monkeypatch, few_refits):
    # Drawing takes longer than all else, and is not what these tests are about.
    monkeypatch.setattr(document, "write", lambda *_: None)

    def invoke(*arguments: str):
        return CliRunner().invoke(__main__.main, [*arguments])

    return invoke


def test_training_prints_the_table_the_reason_and_the_segments_and_activates(run, tiny, tmp_path):
    done = run("train", str(tiny.csv), "--k-min", "2", "--k-max", "3", "--store", str(tmp_path / "new"))
    assert done.exit_code == 0, done.output
    store = ModelStore(tmp_path / "new")
    (version,) = store.versions()
    assert store.active.read()["version"] == version
    assert version in done.stdout
    assert " 2  " in done.stdout
    assert "*3  " in done.stdout
    assert "k = 3 is the largest k tried" in done.stdout
    for segment in store.manifest(version)["segments"]:
        assert f"{segment['id']}  {segment['name']}" in done.stdout
        assert f"({segment['size']} customers, {segment['share']:.1%}, new)" in done.stdout
        for action in segment["actions"]:
            assert f"- {action}" in done.stdout


def test_a_version_need_not_be_activated(run, tiny, store):
    before = store.active.read()
    done = run("train", str(tiny.csv), "--k", str(TINY_K), "--store", str(store.directory), "--no-activate")
    assert done.exit_code == 0, done.output
    assert len(store.versions()) == 2
    assert store.active.read() == before
    assert "and activated" not in done.stdout
    assert "kept" in done.stdout


def test_the_store_comes_from_the_environment(run, tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("MODEL_STORE", str(tmp_path / "named"))
    assert run("train", str(tiny.csv), "--k", str(TINY_K)).exit_code == 0
    assert len(ModelStore(tmp_path / "named").versions()) == 1


def test_notes_about_the_data_are_told(run, tiny, tmp_path):
    lines = tiny.csv.read_text().splitlines()
    cells = lines[1].split(",")
    cells[1] = "much"
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]))
    done = run("train", str(bad), "--k", str(TINY_K), "--store", str(tmp_path / "new"))
    assert done.exit_code == 0, done.output
    assert "note: line 2: BALANCE must be a number" in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ("A,B\n1,2\n", "2 columns, 'A', 'B', separated by commas"), ("\0\1", "zero bytes")],
)
def test_unusable_data_fail_with_one_clear_line(run, tmp_path, content, message):
    csv = tmp_path / "bad.csv"
    csv.write_text(content)
    done = run("train", str(csv), "--store", str(tmp_path / "new"))
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert "Traceback" not in done.output
    store = ModelStore(tmp_path / "new")
    assert (store.versions(), store.serving_order()) == ([], [])
    (record,) = TrainingJobs(store.directory).records()
    assert (record["status"], record["data"]) == ("failed", "bad.csv")
    assert message in record["reason"]
    assert str(tmp_path) not in record["reason"]


def test_a_reason_keeps_its_letters_whatever_the_store_is_called(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("A,B\n1,2\n")
    done = run("train", "a.csv", "--store", "a")
    (record,) = TrainingJobs(tmp_path / "a").records()
    assert done.stderr == f"Error: {record['reason']}\n"
    assert "2 columns, 'A', 'B', separated by commas" in done.stderr


def test_a_store_that_cannot_be_written_fails_with_one_clear_line(run, tiny, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("train", str(tiny.csv), "--k", str(TINY_K), "--store", str(tmp_path / "file" / "store"))
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "Not a directory" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("--k", "1"), ("--k-min", "6", "--k-max", "5"), ("--seed", "-1"), ("--k", "many")]
)
def test_impossible_options_are_refused(run, tiny, arguments):
    assert run("train", str(tiny.csv), *arguments).exit_code == 2


def test_serve_runs_the_server_at_the_given_address(run, monkeypatch):
    served = []
    monkeypatch.setattr(server, "run", served.append)
    for name in ("MODEL_HOST", "MODEL_PORT", "MODEL_WORKERS"):
        monkeypatch.setenv(name, "1")
    assert run("serve", "--host", "0.0.0.0", "--port", "9001", "--workers", "2").exit_code == 0
    (settings,) = served
    assert (settings.model_host, settings.model_port, settings.model_workers) == ("0.0.0.0", 9001, 2)


def test_serve_names_a_wrong_setting_and_does_not_start(run, monkeypatch):
    monkeypatch.setattr(server, "run", lambda _: pytest.fail("started"))
    monkeypatch.setenv("LOG_LEVEL", "loud")
    done = run("serve")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: LOG_LEVEL: ")


def test_nothing_is_trained_where_a_model_serves_already_if_so_asked(run, tiny, store):
    done = run("train", str(tiny.csv), "--store", str(store.directory), "--if-none")
    assert done.exit_code == 0, done.output
    assert f"{store.versions()[0]} is the active model" in done.stdout
    assert len(store.versions()) == 1


def test_segments_that_a_new_model_gives_up_are_named(run, tiny, store):
    done = run("train", str(tiny.csv), "--k", "2", "--store", str(store.directory))
    assert done.exit_code == 4, done.output
    assert "seg-01 would be retired" in done.stderr
    manifest = store.manifest(store.versions()[-1])
    assert manifest["retired"]
    assert f"retired: {', '.join(manifest['retired'])}" in done.stdout


def test_a_training_is_on_record_with_its_log(run, tiny, tmp_path):
    done = run("train", str(tiny.csv), "--k", str(TINY_K), "--store", str(tmp_path), "--by", "ann", "--note", "q3")
    assert done.exit_code == 0, done.output
    store, jobs = ModelStore(tmp_path), TrainingJobs(tmp_path)
    (record,) = jobs.records()
    (version,) = store.versions()
    assert (record["status"], record["version"], record["activated"]) == ("completed", version, True)
    assert (record["by"], record["note"], record["bytes"]) == ("ann", "q3", tiny.csv.stat().st_size)
    assert record["options"] == TrainingOptions(k_min=TINY_K, k_max=TINY_K, seed=0, activate=True)
    assert record["progress"]["done"] == record["progress"]["total"] > 0
    text = jobs.log(record["id"]).decode()
    for said in ("reading the data", "stability", f"*{TINY_K}  ", "seg-01", f"stored as {version}", "activated"):
        assert said in text
    (activation,) = store.active.read()["history"]
    assert (activation["by"], activation["reason"], activation["forced"]) == ("ann", "q3", False)


FAILED = [GateCheck(check="stability", passed=False, detail="0.5 is below 0.85")]


@pytest.fixture
def strict_gate(monkeypatch):
    monkeypatch.setattr(ModelStore, "_judge", lambda *_: FAILED)


def test_a_version_that_the_gate_refuses_is_stored_and_the_way_to_force_it_is_told(run, tiny, store, strict_gate):
    before = store.active.read()
    done = run("train", str(tiny.csv), "--k", str(TINY_K), "--store", str(store.directory))
    assert done.exit_code == 4
    version = store.versions()[-1]
    assert f"stored as {version} in" in done.stdout
    assert "stability: 0.5 is below 0.85" in done.stderr
    assert f"python -m model_service activate {version} --force --reason" in done.stderr
    assert store.active.read() == before
    record = TrainingJobs(store.directory).records()[0]
    assert (record["status"], record["version"], record["activated"]) == ("completed", version, False)
    assert "stability: 0.5 is below 0.85" in record["reason"]


def test_the_gate_is_overruled_with_a_reason(run, tiny, store, strict_gate):
    done = run("train", str(tiny.csv), "--k", str(TINY_K), "--store", str(store.directory), "--force", "new market")
    assert done.exit_code == 0, done.output
    last = store.active.read()["history"][-1]
    assert (last["version"], last["reason"], last["forced"]) == (store.versions()[-1], "new market", True)
    assert TrainingJobs(store.directory).records()[0]["activated"]


def test_an_empty_reason_forces_nothing(run, tiny, store, strict_gate):
    before = store.active.read()
    done = run("train", str(tiny.csv), "--k", str(TINY_K), "--store", str(store.directory), "--force", " ")
    assert done.exit_code == 2
    assert store.active.read() == before
    assert len(store.versions()) == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (MemoryError("Unable to allocate 9 GiB"), "Out of memory: Unable to allocate 9 GiB"),
        (MemoryError(), "Out of memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (ZeroDivisionError("by zero\nindeed"), "Unexpected error, see the log: ZeroDivisionError."),
        (KeyboardInterrupt(), "Stopped with Ctrl-C"),
    ],
)
def test_whatever_ends_a_training_is_on_record(run, tiny, store, monkeypatch, fault, reason):
    def fails(*_: object) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train", fails)
        done = run("train", str(tiny.csv), "--k", str(TINY_K), "--store", str(store.directory))
    assert done.exit_code == 1
    record = TrainingJobs(store.directory).records()[0]
    assert record["status"] == ("cancelled" if isinstance(fault, KeyboardInterrupt) else "failed")
    assert record["reason"].startswith(reason)
    assert "\n" not in record["reason"]
    assert len(store.versions()) == 1
    TrainingJobs(store.directory).refuse_second()
    with ModelStore(store.directory).training_lock():
        pass  # the next one may begin


def test_a_training_that_runs_already_is_named(run, tiny, store):
    jobs = TrainingJobs(store.directory)
    options = TrainingOptions(k_min=3, k_max=3, seed=0, activate=False)
    job = jobs.begin(jobs.draft(), "", "", options, "upload.csv", 0)
    done = run("train", str(tiny.csv), "--store", str(store.directory))
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: Training {job.folder.id} is queued")
    job.finish("completed")


def test_a_version_in_the_making_elsewhere_is_told(run, tiny, store):
    with ModelStore(store.directory).training_lock():
        done = run("train", str(tiny.csv), "--store", str(store.directory))
    assert done.exit_code == 1
    assert "Another training" in done.stderr
    assert TrainingJobs(store.directory).records()[0]["status"] == "failed"
