"""What `make run` and the tests stand on: mongod's start, taken ports and waiting for both tiers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
import requests
from pymongo import MongoClient
from support.scripted_server import Request, ScriptedServer, always, http, serving
from support.servers import STOP_SECONDS, Mongod, free_port

from gateway.commands import refuse_taken
from gateway.development import mongod as development
from gateway.development.welcome import wait_until_ready


class TestMongod:
    def test_is_a_replica_set_that_takes_writes(self, mongod: Mongod, mongo_client: MongoClient) -> None:
        hello = mongo_client.admin.command("hello")
        assert hello["isWritablePrimary"]
        assert (hello["setName"], hello["hosts"]) == (development.REPLICA_SET, [f"127.0.0.1:{mongod.port}"])

    def test_waiting_for_one_that_is_ready_changes_nothing(self, mongod: Mongod) -> None:
        development.wait_for_primary(mongod.port)

    def test_waiting_ends(self) -> None:
        with pytest.raises(TimeoutError, match="did not take writes within"):
            development.wait_for_primary(free_port(), seconds=0.2)

    def test_from_the_path_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        mine = tmp_path / "mongod"
        mine.write_text("#!/bin/sh\n", encoding="utf-8")
        mine.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        assert development.find() == str(mine)


class TestProcesses:
    def test_the_mongod_command_becomes_a_mongod(self, tmp_path: Path) -> None:
        port = free_port()
        command = [sys.executable, "-m", "gateway", "mongod", "--data", str(tmp_path), "--port", str(port)]
        environment = {name: value for name, value in os.environ.items() if name != "MONGODB_URI"}
        process = subprocess.Popen(command, env=environment)
        try:
            development.wait_for_primary(port)
            with MongoClient("127.0.0.1", port, directConnection=True) as client:
                assert client.admin.command("serverStatus")["pid"] == process.pid
        finally:
            process.terminate()
        assert process.wait(STOP_SECONDS) == 0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_the_worker_stops_when_told(self, mongodb_uri: str, tmp_path: Path, number: signal.Signals) -> None:
        heartbeat = tmp_path / "heartbeat"
        environment = {**os.environ, "MONGODB_URI": mongodb_uri, "WORKER_HEARTBEAT": str(heartbeat)}
        environment["MODEL_SERVICE_URL"] = f"http://127.0.0.1:{free_port()}"
        process = subprocess.Popen([sys.executable, "-m", "gateway", "worker"], env=environment)
        try:
            give_up_at = time.monotonic() + STOP_SECONDS
            while not heartbeat.exists():
                assert process.poll() is None
                assert time.monotonic() < give_up_at
                time.sleep(0.02)
        finally:
            process.send_signal(number)
        assert process.wait(STOP_SECONDS) == 0


class TestPorts:
    def test_that_are_taken_are_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(click.ClickException, match=f"gateway cannot listen on 127.0.0.1:{port}"):
                refuse_taken("gateway", "127.0.0.1", port)

    def test_that_are_free_are_fine(self) -> None:
        refuse_taken("gateway", "127.0.0.1", free_port())


class TestWaitingForBothTiers:
    def test_ends_when_both_work(self) -> None:
        def script(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
            state = "ok" if len(server.requests) > 2 else "The model service cannot be reached."
            connection.sendall(http(json.dumps({"model_service": state})))
            return True

        with serving(script) as server, requests.Session() as session:
            wait_until_ready(session, server.url)
            assert len(server.requests) == 3

    def test_gives_up_with_the_last_answer(self) -> None:
        not_yet = always(http("not yet", "503 Service Unavailable"))
        with (
            serving(not_yet) as server,
            requests.Session() as session,
            pytest.raises(click.ClickException, match="not yet"),
        ):
            wait_until_ready(session, server.url, seconds=0.3)

    def test_gives_up_when_nobody_answers(self) -> None:
        with requests.Session() as session, pytest.raises(click.ClickException, match="not ready after"):
            wait_until_ready(session, f"http://127.0.0.1:{free_port()}", seconds=0.1)


def test_the_data_of_a_mongod_can_move_to_another_port(tmp_path: Path) -> None:
    for number in range(2):
        server = Mongod(tmp_path, free_port())
        server.start()
        try:
            with MongoClient(server.uri("test")) as client:
                client.get_default_database()["moved"].insert_one({"_id": number})
                assert client.get_default_database()["moved"].count_documents({}) == number + 1
        finally:
            server.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(port: int, *, listens: bool) -> None:
    give_up_at = time.monotonic() + 4 * STOP_SECONDS
    while _listens(port) is not listens:
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


@pytest.mark.parametrize("killed", ["make run", "honcho"])
def test_whoever_is_killed_nothing_is_left_behind(tmp_path: Path, killed: str) -> None:
    port, other = free_port(), free_port()
    line = f"{sys.executable} -m http.server --bind 127.0.0.1"
    (tmp_path / "Procfile").write_text(f"one: {line} {port}\ntwo: {line} {other} & wait\n", encoding="utf-8")
    run = [sys.executable, "-c", "from gateway.development.__main__ import run_all; run_all()"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(run, cwd=tmp_path, env=environment)
    try:
        for one in (port, other):
            _wait_until(one, listens=True)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        os.kill(process.pid if killed == "make run" else int(children[0]), signal.SIGKILL)
        for one in (port, other):
            _wait_until(one, listens=False)
        process.wait(STOP_SECONDS)
    finally:
        process.terminate()


def test_what_does_not_stop_is_killed() -> None:
    """A shell that is deaf, and its child, which has no parent left once the shell is killed."""
    script = """
import subprocess
from gateway.development.__main__ import stop_orphans
from shared.processes import adopt_orphans
adopt_orphans()
deaf = "trap '' TERM; (trap '' TERM; echo ready; while :; do sleep 0.1; done) & wait; while :; do sleep 0.1; done"
shell = subprocess.Popen(["sh", "-c", deaf], stdout=subprocess.PIPE)
assert shell.stdout.readline() == b"ready\\n"
stop_orphans(grace_seconds=0.2)
print(open("/proc/self/task/%d/children" % __import__("os").getpid()).read().split())
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout == "[]\n"
