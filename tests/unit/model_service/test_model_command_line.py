from __future__ import annotations

import pytest
from click.testing import CliRunner
from model_customers import TINY_K

from model_service import __main__ as command_line
from model_service import server
from model_service.registry import ModelStore


@pytest.fixture
def run(tmp_path):
    def invoke(*arguments: str):
        return CliRunner().invoke(command_line.main, [*arguments])

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
    assert "note: line 2: BALANCE must be a number, not 'much'" in done.stderr


@pytest.mark.parametrize(
    ("content", "message"), [("", "is empty"), ("A,B\n1,2\n", "missing columns: BALANCE"), ("\0\1", "has no rows")]
)
def test_unusable_data_fail_with_one_clear_line(run, tmp_path, content, message):
    csv = tmp_path / "bad.csv"
    csv.write_text(content)
    done = run("train", str(csv), "--store", str(tmp_path / "new"))
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert not (tmp_path / "new").exists()


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
    assert done.exit_code == 0, done.output
    manifest = store.manifest(store.versions()[-1])
    assert manifest["retired"]
    assert f"retired: {', '.join(manifest['retired'])}" in done.stdout
