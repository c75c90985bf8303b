"""A body that nobody has read is read to its end before the answer."""

from __future__ import annotations

import io

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from support.customers import body

from gateway.settings import Settings
from shared.model_contract import CSV, NDJSON

IMPORTS = "/api/v1/imports"
SIZE = 700_000


class Counted(io.BytesIO):
    """A body that knows how much of it has been read; it may break off."""

    def __init__(self, content: bytes = b"x" * SIZE, ends: int = SIZE) -> None:
        super().__init__(content)
        self._ends = ends

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= self._ends and self._ends < SIZE:
            raise ConnectionResetError
        return super().read(size)


def _send(gateway: FakeGateway, path: str, content: Counted, kind: str, **headers: str) -> int:
    sent = {"Content-Type": kind, "Content-Length": str(SIZE), **headers}
    return gateway.client.post(path, input_stream=content, headers=sent).status_code


@pytest.mark.parametrize(
    ("path", "kind", "authorization", "status"),
    [
        (CUSTOMERS, "application/json", "Bearer none", 401),
        (CUSTOMERS, "text/plain", "", 415),
        ("/nowhere", "application/json", "", 404),
        (f"{IMPORTS}?unknown=1", CSV, "", 422),
        ("/", CSV, "", 405),
    ],
)
def test_of_a_refused_request_it_is(path: str, kind: str, authorization: str, status: int) -> None:
    content = Counted()
    headers = {"Authorization": authorization} if authorization else {}
    assert _send(FakeGateway(), path, content, kind, **headers) == status
    assert content.tell() == SIZE


def test_one_that_is_too_large_is_read_as_far_as_any_may_go() -> None:
    content = Counted()
    gateway = FakeGateway(settings=Settings(max_body_bytes=1024, max_upload_bytes=300_000))
    assert _send(gateway, CUSTOMERS, content, "application/json") == 413
    assert 300_000 <= content.tell() < SIZE


def test_a_client_that_leaves_meanwhile_is_let_go() -> None:
    assert _send(FakeGateway(), "/nowhere", Counted(ends=1), "application/json") == 404


def test_a_file_is_there_before_its_progress_is_told() -> None:
    lines = [",".join(body()), *(",".join(map(str, body(f"C{n}").values())) for n in range(4_000))]
    file = "\n".join(lines).encode()
    content = Counted(file)
    sent = {"Content-Type": CSV, "Content-Length": str(len(file)), "Accept": NDJSON}
    with FakeGateway().client.post(IMPORTS, input_stream=content, headers=sent, buffered=False) as answer:
        assert content.tell() == len(file) > 256 * 1024
        assert answer.status_code == 201
