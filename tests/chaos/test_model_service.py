"""Tier 2 is killed, paused, cut off, slow or wrong, and its store is read-only or full: no write depends on it."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from fakes.registry import OLD
from support.bad_link import packets_dropped, slow_link
from support.scripted_server import MEDIA_TYPE, Request, Script, ScriptedServer, http, serving
from support.served_model import SwitchedModel, SwitchedRegistry, serving_both
from support.servers import Mongod
from support.under_fire import Answer, Fire, Row
from support.whole_system import whole_system

from tests.e2e.conftest import UVICORN, System, wait_until

LONGEST = 12.0
"""The longest deadlines (PREDICTION_DEADLINE 2 s), 3 s for a place before that, and some for a busy machine."""
Table = Callable[[Row], None]


@pytest.fixture
def system(mongod: Mongod, sample_models: Path, tmp_path: Path) -> Iterator[System]:
    """A system with a model service of its own."""
    shutil.copytree(sample_models, tmp_path / "models")
    with whole_system(tmp_path, mongod.uri(_database()), models=tmp_path / "models") as system:
        yield system


def _database() -> str:
    return f"chaos_{time.time_ns()}"


def _fire(system: System) -> Fire:
    return Fire(system.base, system.key, system.env["MONGODB_URI"], LONGEST)


def _active(system: System) -> str:
    return str(json.loads((Path(system.env["MODEL_STORE"]) / "active.json").read_text())["version"])


def _serves_without(fire: Fire, notice: float = 3.0) -> None:
    """Assert that the gateway was ready all along, and said meanwhile that the model service does not answer."""
    fire.said_ready_all_along()
    during = fire.during(notice)
    assert during
    assert not [health for health in during if health.model_service == "ok"]


def _pending(fire: Fire, more: int = 10) -> None:
    """Wait until predictions are refused and writes are acknowledged all the same."""
    begin = len(fire.sent.answers)
    fire.acknowledged(more)
    fire.answered(1, lambda a: a.kind == "predict" and a.status in (502, 503, 504), "a prediction is refused")
    assert not [answer for answer in fire.sent.answers[begin:] if _is_refused_for_it(answer)]


def _is_refused_for_it(answer: Answer) -> bool:
    """Return whether a write is refused though it needs no model; two imports of a caller at once are enough anyway."""
    return answer.kind in _WRITES and (answer.status or 500) >= 500 and answer.code != "analysis_busy"


_WRITES = ("create", "put", "patch", "delete", "restore", "batch", "import", "erase", "key")
"""What needs no model."""


def test_killed(system: System, table: Table) -> None:
    fire = _fire(system)
    with fire.lit():
        with fire.fault():
            system.kill("model")
            _pending(fire)
            time.sleep(3)
            fire.is_being_mended()
            system.start_model(UVICORN)
        recovered = fire.recovers(10)
        fire.acknowledged(30)
    _serves_without(fire)
    fire.proved(active=_active(system))
    table(fire.row("Model service killed", "`kill -9`, away for 3 s and its start", recovered))


def test_paused(system: System, table: Table) -> None:
    fire = _fire(system)
    with fire.lit():
        with fire.fault():
            system.signal("model", signal.SIGSTOP)
            _pending(fire)
            time.sleep(5)
            fire.is_being_mended()
            system.signal("model", signal.SIGCONT)
        recovered = fire.recovers(10)
        fire.acknowledged(30)
    _serves_without(fire)
    fire.proved(active=_active(system))
    table(fire.row("Model service paused", "`SIGSTOP` for 5 s or more", recovered))


def test_cut_off(system: System, table: Table) -> None:
    fire = _fire(system)
    with fire.lit():
        with fire.fault(), packets_dropped(int(system.env["MODEL_PORT"])):
            _pending(fire)
            time.sleep(5)
            fire.is_being_mended()
        recovered = fire.recovers(10)
        fire.acknowledged(30)
    _serves_without(fire)
    fire.proved(active=_active(system))
    table(fire.row("Network between the tiers", "packets dropped for 5 s or more", recovered))


def test_slow(mongod: Mongod, sample_models: Path, tmp_path: Path, table: Table) -> None:
    with slow_link(0) as link:
        settings = {"MODEL_SERVICE_URL": f"http://127.0.0.1:{link.port}"}
        with whole_system(tmp_path, mongod.uri(_database()), models=sample_models, **settings) as system:
            link.server_port = int(system.env["MODEL_PORT"])
            fire = _fire(system)
            with fire.lit():
                with fire.fault():
                    link.delay = 3.0
                    _pending(fire)
                    time.sleep(5)
                    fire.is_being_mended()
                    link.delay = 0.0
                recovered = fire.recovers(10)
                fire.acknowledged(30)
            _serves_without(fire)
            fire.proved(active=_active(system))
    table(fire.row("Model service slow", "3 s each way", recovered))


def _half(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
    connection.sendall(http(json.dumps({"model_version": OLD}))[:-7])
    return False


def _endless(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n[")
    while not server.stopping.is_set():
        connection.sendall(b" " * 65536)
    return False


def _gzip(content: bytes) -> bytes:
    return http(content, headers="Content-Type: application/json\r\nContent-Encoding: gzip\r\n")


GARBAGE: dict[str, bytes | Script] = {
    "no JSON": http("<html>It works!</html>"),
    "JSON of another shape": http('{"segments": {}, "cluster": "all", "segment": [], "model_version": 7}'),
    "null": http("null"),
    "deeply nested": http("[" * 100_000),
    "no UTF-8": http(b'{"segment": "\xff\xfe"}'),
    "another content type": http("ok", headers="Content-Type: text/plain\r\n"),
    "huge": _endless,
    "half an answer": _half,
    "no HTTP": b"\x16\x03\x01\x00\x05hello\r\n\r\n",
    "a redirect": http("", "302 Found", "Location: http://127.0.0.1:1/\r\n"),
    "an empty answer": http("", "204 No Content", ""),
    "an error of another kind": http("<h1>Bad gateway</h1>", "502 Bad Gateway", "Content-Type: text/html\r\n"),
    "a problem of no known code": http('{"status": 500, "code": 5}', "500 No", f"Content-Type: {MEDIA_TYPE}\r\n"),
    "what is not compressed": _gzip(b"not gzip"),
}


def test_garbage(mongod: Mongod, tmp_path: Path, table: Table) -> None:
    """Each kind of garbage for a second, one after the other."""
    registry = SwitchedRegistry()
    right = serving_both(SwitchedModel(registry), registry)
    kinds: list[bytes | Script] = []

    def script(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
        if not kinds:
            return right(server, connection, request)
        kind = kinds[-1]
        if callable(kind):
            return kind(server, connection, request)
        connection.sendall(kind)
        return False

    with (
        serving(script) as tier_2,
        whole_system(tmp_path, mongod.uri(_database()), MODEL_SERVICE_URL=tier_2.url) as system,
    ):
        fire = _fire(system)
        with fire.lit():
            with fire.fault():
                for kind in GARBAGE.values():
                    kinds.append(kind)
                    fire.acknowledged(3)
                    fire.answered(1, lambda a: a.kind in ("predict", "rescore") and a.status != 404, "a prediction")
                kinds.clear()
            recovered = fire.recovers(10)
            fire.acknowledged(30)
        fire.said_ready_all_along()
        meanwhile = [a for a in fire.sent.answers if fire.began + 1 < a.sent_at and a.ended_at < fire.ended]
        assert not [a for a in meanwhile if _is_refused_for_it(a)]
        assert not [a for a in meanwhile if a.kind == "predict" and a.status == 200]
        fire.proved(active=OLD)
    table(fire.row("Model service answers garbage", f"{len(GARBAGE)} kinds, one after the other", recovered))


@contextmanager
def _own_disk(models: Path, folder: Path) -> Iterator[Path]:
    """Give a copy of the model store on a small disk of its own."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "chaos", str(folder)])
    if mounted.returncode:
        pytest.skip("a disk of its own needs root")
    try:
        shutil.copytree(models, folder, dirs_exist_ok=True)
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # whoever is still ending may have it open


@pytest.mark.parametrize("how", ["read-only", "full"])
def test_model_store(how: str, mongod: Mongod, sample_models: Path, tmp_path: Path, table: Table) -> None:
    """Who wants to train, to activate or to name a segment hears why not; what serves serves on."""
    with (
        _own_disk(sample_models, tmp_path / "disk") as disk,
        whole_system(tmp_path / "system", mongod.uri(_database()), models=disk) as system,
    ):
        fire = _fire(system)
        with fire.lit():
            with fire.fault():
                _spoil(disk, how)
                refused = _changed(system)
                fire.acknowledged(30)
                _mend(disk, how)
            recovered = fire.recovers(10)
            done = _changed(system)
            _cancelled(system)
            fire.acknowledged(30)
        # What is active already can be activated without a byte.
        wanted = {"name": 507, "activate": 507 if how == "read-only" else 200, "train": 507}
        assert {name: answer.status_code for name, answer in refused.items()} == wanted
        assert {name: answer.status_code for name, answer in done.items()} == {
            "name": 200,
            "activate": 200,
            "train": 202,
        }
        fire.said_ready_all_along()
        assert {health.model_service for health in fire.health} == {"ok"}
        fire.proved(active=_active(system))
    table(fire.row(f"Model store {how}", "training, activating, naming a segment are refused", recovered))


def _spoil(disk: Path, how: str) -> None:
    if how == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        return
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def _mend(disk: Path, how: str) -> None:
    if how == "read-only":
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    else:
        (disk / "ballast").unlink()


def _changed(system: System) -> dict[str, requests.Response]:
    """Try everything that writes to the model store."""
    version, api = _active(system), f"{system.base}/api/v1"
    why, post = {"reason": "chaos", "by": "chaos", "force": True}, system.http.post
    file = {"data": _CSV.read_bytes(), "headers": {"Content-Type": "text/csv"}}
    return {
        "name": system.http.patch(f"{api}/segments/seg-01", json={"name": f"N{time.time_ns()}"}, timeout=30),
        "activate": post(f"{api}/models/{version}/activate", json=why, timeout=30),
        "train": post(f"{api}/models", **file, timeout=60),
    }


def _cancelled(system: System) -> None:
    """Cancel the training; it would outlive the test, and keep the disk."""
    url = f"{system.base}/api/v1/trainings"

    def running() -> list[str]:
        found = system.http.get(url, timeout=30).json()["items"]
        return [training["id"] for training in found if training["status"] == "running"]

    for training in running():
        assert system.http.post(f"{url}/{training}/cancel", timeout=30).ok
    wait_until(lambda: not running(), "trainings are cancelled")


_CSV = Path(__file__).resolve().parents[2] / "data" / "sample.csv"
