"""Imports through the running system: progress, cancel, and whoever may die on the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from shared.features import CUST_ID
from tests.e2e.conftest import GRANIAN, System, gunicorn, wait_until

ROWS = 30_000
COUNTS = ("created", "updated", "unchanged", "rejected")


class HeldBack:
    """A file of which the first half is sent, and the rest when it is let go."""

    def __init__(self, content: bytes, half: int) -> None:
        self._content = content
        self._half = half
        self._place = 0
        self.go_on = threading.Event()
        self.broken = False

    def __len__(self) -> int:
        return len(self._content)

    def read(self, size: int = -1) -> bytes:
        end = self._half if self._place < self._half else len(self._content)
        if self._place >= self._half:
            self.go_on.wait(60)
            if self.broken:
                raise ConnectionAbortedError("the sender leaves")
        piece = self._content[self._place : min(end, self._place + max(size, 1))]
        self._place += len(piece)
        return piece


@pytest.fixture(scope="module")
def rows(sample_csv) -> list[str]:
    """The sample's rows again and again, under ids of their own."""
    header, *sample = sample_csv.read_text(encoding="utf-8").splitlines()
    rows = [f"C{n},{sample[n % len(sample)].partition(',')[2]}" for n in range(ROWS)]
    return [header, *rows]


@pytest.fixture(scope="module")
def content(rows: list[str]) -> bytes:
    return "\n".join(rows).encode()


@contextmanager
def _sending(system: System, content: bytes, **headers: str) -> Iterator[tuple[HeldBack, Future[requests.Response]]]:
    """Send the first half of a file and wait until it is stored."""
    file = HeldBack(content, len(content) // 2)
    headers = {"Content-Type": "text/csv", "Authorization": f"Bearer {system.key}", **headers}
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(requests.post, f"{system.base}/api/v1/imports", data=file, headers=headers, timeout=60)
        try:
            wait_until(lambda: bool(_all(system)) and _newest(system)["rows"] >= 5_000, "the first rows are stored")
            yield file, sent
        finally:
            file.go_on.set()


def _all(system: System) -> list[dict[str, Any]]:
    return system.http.get(f"{system.base}/api/v1/imports", timeout=10).json()["items"]


def _newest(system: System) -> dict[str, Any]:
    return _all(system)[0]


def _send(system: System, content: bytes, media_type: str = "text/csv") -> dict[str, Any]:
    headers = {"Content-Type": media_type}
    answer = system.http.post(f"{system.base}/api/v1/imports", data=content, headers=headers, timeout=120)
    assert answer.status_code == 201, answer.text
    return answer.json()


def _assert_whole(system: System, rows: list[str]) -> int:
    """Assert that each stored customer is as the file has it; return how many there are."""
    names = rows[0].split(",")
    wanted = {row.partition(",")[0]: row.split(",") for row in rows[1:]}
    stored = list(system.customers())
    for customer in stored:
        cells = dict(zip(names, wanted[customer[CUST_ID]], strict=True))
        assert all(customer[n] == (float(cells[n]) if cells[n] else None) for n in names if n != CUST_ID)
        assert customer["segment_status"] == "assigned"
    return len(stored)


def test_killed_in_mid_import_nothing_is_half_written_and_sending_again_finishes(
    system: System, content: bytes, rows: list[str]
) -> None:
    system.start_model()
    system.start_gateway(GRANIAN)
    with _sending(system, content) as (file, sent):
        system.kill("gateway")
        file.go_on.set()
        with pytest.raises(requests.ConnectionError):
            sent.result()
    system.start_gateway(GRANIAN)
    wait_until(lambda: _newest(system)["status"] == "interrupted", "its silence is noticed")
    receipt = _newest(system)
    assert "at least" in receipt["reason"]
    stored = _assert_whole(system, rows)
    assert 5_000 <= receipt["created"] <= stored < ROWS
    again = _send(system, content)
    assert [again[name] for name in COUNTS] == [ROWS - stored, 0, stored, 0]
    assert _assert_whole(system, rows) == ROWS


def test_killed_in_the_middle_of_a_mirror_nobody_is_lost_and_another_confirmation_finishes_it(
    system: System, rows: list[str], tmp_path: Path
) -> None:
    """The gateway dies in the third transaction that deletes some of 1,000; one that met another begins again."""
    mark = tmp_path / "die"
    mark.touch()
    place = "gateway.data_access.mongo.deletions:MongoDeletedCustomers.keep"
    system.env |= {"DIE_AT": place, "DIE_ONCE": str(mark), "DIE_AFTER": "2"}
    system.start_model()
    system.start_gateway(
        [part.replace("gateway.app:", "tests.e2e.dying_gateway:") for part in gunicorn(system.gateway_port)]
    )
    some = rows[: 3_000 + 1]
    _send(system, "\n".join(some).encode())
    file = "\n".join([some[0], *some[1_001:]]).encode()
    with pytest.raises(requests.ConnectionError):
        _mirror(system, file, 1_000)
    assert not mark.exists()
    system.http.close()  # what it keeps open may lead to the process that died
    left = {customer[CUST_ID] for customer in system.customers()}
    kept = set(_deleted(system))
    assert (len(left) + len(kept), left & kept) == (3_000, set())
    assert 0 < len(kept) < 1_000
    wait_until(lambda: _newest(system)["status"] == "interrupted", "its silence is noticed")
    assert _mirror(system, file, 1_000).status_code == 409
    told = _mirror(system, file, None, dry_run="true").json()
    assert told["mirror"]["missing"] == 1_000 - len(kept)

    def finished() -> bool:
        missing = _mirror(system, file, None, dry_run="true").json()["mirror"]["missing"]
        answer = _mirror(system, file, missing)
        assert answer.status_code in (201, 503), answer.text
        return answer.status_code == 201

    # The dead gateway's transaction holds its customers until the database gives it up.
    wait_until(finished, "the others are deleted", 90)
    assert {customer[CUST_ID] for customer in system.customers()} == {row.partition(",")[0] for row in some[1_001:]}
    assert len(_deleted(system)) == 1_000
    assert system.http.post(f"{system.base}/api/v1/customers/C0/restore", timeout=10).status_code == 200


def _mirror(system: System, content: bytes, confirmed: int | None, **query: str) -> requests.Response:
    query |= {"mode": "mirror"} if confirmed is None else {"mode": "mirror", "confirm_missing": str(confirmed)}
    # A connection of its own: the session's would be tried again when it breaks.
    headers = {"Content-Type": "text/csv", "Authorization": f"Bearer {system.key}"}
    return requests.post(f"{system.base}/api/v1/imports", params=query, data=content, headers=headers, timeout=60)


def _deleted(system: System) -> list[str]:
    """Return the ids of all customers that can be restored."""
    ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = system.http.get(
            f"{system.base}/api/v1/deleted-customers", params={"limit": "500", **cursor}, timeout=10
        ).json()
        ids += [customer[CUST_ID] for customer in page["items"]]
        if not page["next_cursor"]:
            return ids
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize("server", ["granian", "gunicorn"])
def test_is_followed_and_cancelled(system: System, content: bytes, server: str) -> None:
    system.start_model()
    system.start_gateway(GRANIAN if server == "granian" else gunicorn(system.gateway_port))
    with _sending(system, content) as (file, sent):
        running = _newest(system)
        assert (running["status"], running["rejected"], running["pending"]) == ("running", 0, 0)
        address = f"{system.base}/api/v1/imports/{running['id']}"
        assert system.http.post(f"{address}/cancel", timeout=10).status_code == 202
        wait_until(lambda: _newest(system)["status"] == "cancelled", "it ends though nothing more is sent")
        file.go_on.set()
        answer = sent.result()
    receipt = answer.json()
    assert (answer.status_code, receipt["status"]) == (201, "cancelled")
    kept = system.http.get(address, timeout=10).json()
    assert (kept["status"], kept["rows"]) == ("cancelled", receipt["rows"])
    assert system.http.post(f"{address}/cancel", timeout=10).status_code == 409


def test_whoever_leaves_in_the_middle_is_noticed(system: System, content: bytes) -> None:
    system.start_model()
    system.start_gateway(GRANIAN)
    with _sending(system, content) as (file, sent):
        file.broken = True
        file.go_on.set()
        assert sent.exception() is not None
        wait_until(lambda: _newest(system)["status"] == "interrupted", "that the sender has left")
    assert _newest(system)["reason"] == "The upload ended before the end of the file."


def test_the_model_may_die_in_the_middle(system: System, content: bytes) -> None:
    system.start_model()
    system.start_gateway(GRANIAN)
    with _sending(system, content) as (file, sent):
        system.kill("model")
        file.go_on.set()
        receipt = sent.result().json()
    assert [receipt[name] for name in COUNTS] == [ROWS, 0, 0, 0]
    assert 0 < receipt["pending"] < ROWS
    system.start_model()
    system.start_worker()
    wait_until(lambda: not _pending(system), "the worker assigns the others", 60)


def _pending(system: System) -> int:
    answer = system.http.get(f"{system.base}/api/v1/customers", params={"segment_status": "pending"}, timeout=10)
    return len(answer.json()["items"])


def test_an_export_comes_back_unchanged(system: System, rows: list[str]) -> None:
    system.start_model()
    system.start_gateway(GRANIAN)
    some = rows[: 6_000 + 1]
    _send(system, "\n".join(some).encode())
    for media_type in ("text/csv", "application/x-ndjson", "application/vnd.apache.parquet"):
        exported = system.http.get(
            f"{system.base}/api/v1/exports/customers", headers={"Accept": media_type}, timeout=60
        )
        assert exported.status_code == 200, exported.text
        receipt = _send(system, exported.content, media_type)
        assert [receipt[name] for name in COUNTS] == [0, 0, len(some) - 1, 0], media_type
