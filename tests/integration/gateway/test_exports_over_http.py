"""Exports that break off, under the servers that docs/operations.md names: whoever reads one to its end finds out."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from fakes.api_keys import ADMIN_KEY
from fakes.gateway import EXPORTS
from pyarrow import parquet
from requests.exceptions import ChunkedEncodingError
from support.breaking_exports import WHOLE_ROWS
from support.servers import free_port

from gateway.controllers.exports import BROKEN_OFF

ROOT = Path(__file__).resolve().parents[3]
SERVERS = {
    "granian": "granian --interface wsgi --port {port} --blocking-threads 4 --factory support.breaking_exports:create",
    "gunicorn": "gunicorn --bind 127.0.0.1:{port} --worker-class gthread --threads 4 --no-control-socket "
    "support.breaking_exports:create()",
}
CLIENT = {"Authorization": f"Bearer {ADMIN_KEY}"}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Run the breaking gateway; give the server's name and the address of exports."""
    port = free_port()
    log = (tmp_path_factory.mktemp("server") / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", *SERVERS[request.param].format(port=port).split()],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        stdout=log,
        stderr=log,
    )
    try:
        _wait_until_alive(f"http://127.0.0.1:{port}/health/live")
        yield request.param, f"http://127.0.0.1:{port}{EXPORTS}"
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def _wait_until_alive(url: str) -> None:
    give_up_at = time.monotonic() + 30
    while True:
        try:
            assert requests.get(url, timeout=5).ok
            return
        except requests.ConnectionError:
            assert time.monotonic() < give_up_at, "the server does not answer"
            time.sleep(0.05)


def _read(url: str, kind: str) -> tuple[bytes, bool]:
    """Return what came, and whether the connection broke."""
    content = b""
    with requests.get(
        url, params={"format": kind, "fields": "BALANCE"}, headers=CLIENT, stream=True, timeout=20
    ) as got:
        assert got.status_code == 200
        try:
            for piece in got.iter_content(1024):
                content += piece
        except ChunkedEncodingError:
            return content, True
    return content, False


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet"])
def test_an_export_that_breaks_off_never_reads_as_a_whole_file(server: tuple[str, str], kind: str) -> None:
    name, url = server
    content, broken = _read(url, kind)
    assert content.endswith(BROKEN_OFF)
    assert broken or name == "granian", "granian has no way to break a connection"
    if kind == "parquet":
        with pytest.raises(ValueError, match="Parquet"):
            parquet.ParquetFile(io.BytesIO(content))
        return
    lines = content.splitlines()
    assert len(lines) == WHOLE_ROWS + 1 + (kind == "csv"), "what was read before is there"
    if kind == "csv":
        with pytest.raises(csv.Error, match="unexpected end of data"):
            list(csv.reader(io.StringIO(content.decode()), strict=True))


def test_every_break_gives_its_thread_back(server: tuple[str, str]) -> None:
    _, url = server
    for _ in range(5):  # room for two at once
        assert _read(url, "csv")[0].endswith(BROKEN_OFF)


def test_a_client_that_leaves_gives_its_thread_back(server: tuple[str, str]) -> None:
    _, url = server
    for _ in range(5):
        requests.get(url, headers=CLIENT, stream=True, timeout=20).close()
    give_up_at = time.monotonic() + 30
    while requests.get(url, headers=CLIENT, stream=True, timeout=20).status_code != 200:
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
