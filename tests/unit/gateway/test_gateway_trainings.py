"""Trainings over HTTP: on a file that passes through, or on the stored customers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.gateway import MODELS, TRAININGS, FakeGateway
from fakes.registry import FakeRegistry
from hypothesis import given
from hypothesis import strategies as st
from support.customers import faultless, stored
from support.problems import assert_problem

from gateway.services.customers.store import Block
from gateway.services.errors import RegistryRefusal, SegmentationError, StoreUnavailable
from gateway.services.models import trainings
from gateway.services.models.registry import Upload
from gateway.services.models.trainings import csv_of
from gateway.settings import Settings
from shared.features import CUST_ID, INPUT_NAMES
from shared.model_contract import CSV, NDJSON, PARQUET, TSV, Training

FILE = b"BALANCE,PURCHASES\n1,2\n"


def _upload(gateway: FakeGateway, content: bytes = FILE, content_type: str = CSV, query: str = "") -> Any:
    return gateway.send("POST", f"{MODELS}{query}", content, content_type)


class TestOnAFile:
    @pytest.mark.parametrize(
        ("sent", "media_type"),
        [(CSV, CSV), (f"{CSV}; charset=utf8", CSV), (PARQUET, PARQUET), (NDJSON, NDJSON), (TSV, TSV)],
    )
    def test_hands_it_over_as_it_is(self, gateway: FakeGateway, sent: str, media_type: str) -> None:
        answer = _upload(gateway, content_type=sent)
        assert (answer.status_code, answer.json["status"]) == (202, "queued")
        assert answer.headers["Location"] == f"{TRAININGS}/{answer.json['id']}"
        assert gateway.client.get(answer.headers["Location"]).json == answer.json
        assert gateway.registry.uploads == [(media_type, len(FILE), FILE)]

    def test_with_its_parameters(self, gateway: FakeGateway) -> None:
        query = {"k": "5", "seed": "7", "activate": "true", "by": "ann", "note": "März & April"}
        gateway.client.post(MODELS, data=FILE, content_type=CSV, query_string=query)
        assert gateway.registry.orders == [("train", None, query)]

    def test_with_names_of_its_columns(self, gateway: FakeGateway) -> None:
        query = {"columns": "CUST_ID:Konto,BALANCE:Saldo"}
        gateway.client.post(MODELS, data=FILE, content_type=CSV, query_string=query)
        ((_, _, order),) = gateway.registry.orders
        assert query.items() <= order.items()
        assert_problem(gateway.client.post(MODELS, query_string=query), 422, "validation_failed", ["?columns"])

    @pytest.mark.parametrize(("query", "pointer"), [("kmax=3", "?kmax"), ("k=3&k=4", "?k"), ("force=true", "?force")])
    @pytest.mark.parametrize("content_type", [CSV, ""])
    def test_with_parameters_that_do_not_exist(
        self, gateway: FakeGateway, query: str, pointer: str, content_type: str
    ) -> None:
        answer = _upload(gateway, FILE if content_type else b"", content_type, f"?{query}")
        assert_problem(answer, 422, "validation_failed", [pointer])
        assert gateway.registry.uploads == []

    def test_may_be_larger_than_other_bodies(self) -> None:
        gateway = FakeGateway(settings=Settings(max_body_bytes=1024, max_upload_bytes=10_000))
        assert _upload(gateway, b"x" * 10_000).status_code == 202
        assert gateway.registry.uploads[0][2] == b"x" * 10_000
        assert_problem(_upload(gateway, b"x" * 10_001), 413, "body_too_large")
        assert len(gateway.registry.uploads) == 1

    def test_passes_in_pieces(self, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes: list[int] = []

        def train(upload: Upload, query: object) -> Training:
            sizes.extend(map(len, upload.pieces))
            raise RegistryRefusal(409, "training_running", "another one is running")

        monkeypatch.setattr(gateway.registry, "train", train)
        assert_problem(_upload(gateway, b"x" * 1_000_000), 409, "training_running")
        assert sum(sizes) == 1_000_000
        assert max(sizes) <= 256 * 1024

    @pytest.mark.parametrize("content_type", ["", "application/json", "text/plain", "multipart/form-data; boundary=x"])
    def test_of_another_kind(self, gateway: FakeGateway, content_type: str) -> None:
        problem = assert_problem(_upload(gateway, content_type=content_type), 415, "unsupported_media_type")
        assert CSV in problem["detail"]
        assert "To train on the stored customers, send no body" in problem["detail"]
        assert gateway.registry.uploads == []

    @pytest.mark.parametrize("content_type", [CSV, PARQUET])
    def test_that_is_empty_is_not_taken_for_no_file(self, gateway: FakeGateway, content_type: str) -> None:
        gateway.store.insert(stored("A"))
        assert_problem(_upload(gateway, b"", content_type), 422, "validation_failed", [""])
        assert gateway.registry.uploads == []

    def test_of_unknown_length_is_refused(self, gateway: FakeGateway) -> None:
        """A server may not tell a chunked body that broke off from a whole one."""
        answer = gateway.client.post(
            MODELS,
            input_stream=io.BytesIO(FILE),
            content_type=CSV,
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input_terminated": True},
        )
        assert_problem(answer, 411, "length_required")
        assert gateway.registry.uploads == []

    @pytest.mark.parametrize("arrived", [FILE[:5], b"", None])
    def test_that_breaks_off_is_no_file(self, gateway: FakeGateway, arrived: bytes | None) -> None:
        declared = {"wsgi.input": _Broken(arrived), "CONTENT_LENGTH": str(len(FILE))}
        answer = gateway.client.post(MODELS, content_type=CSV, environ_overrides=declared)
        assert_problem(answer, 400, "upload_broken")
        assert gateway.registry.uploads == []


class _Broken(io.BytesIO):
    """A body that ends too early, or (None) whose connection fails."""

    def __init__(self, arrived: bytes | None) -> None:
        super().__init__(arrived or b"")
        self._fails = arrived is None

    def readinto(self, buffer: Any) -> int:
        if self._fails:
            raise ConnectionResetError
        return super().readinto(buffer)


def _rows(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


class TestOnTheStored:
    def test_hands_all_of_them_over_without_their_ids(
        self, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(trainings, "BLOCK_ROWS", 2)
        customers = [stored(name, BALANCE=float(n), MINIMUM_PAYMENTS=None) for n, name in enumerate("ABC")]
        gateway.store.insert_many(customers)
        answer = gateway.client.post(f"{MODELS}?k=2&by=ann")
        assert (answer.status_code, answer.headers["Location"]) == (202, f"{TRAININGS}/t1")
        ((media_type, size, content),) = gateway.registry.uploads
        assert (media_type, size) == (CSV, None)
        rows = _rows(content)
        assert list(rows[0]) == list(INPUT_NAMES)
        assert CUST_ID not in rows[0]
        assert [row["BALANCE"] for row in rows] == ["0.0", "1.0", "2.0"]
        assert {row["MINIMUM_PAYMENTS"] for row in rows} == {""}
        assert {row["TENURE"] for row in rows} == {"12"}
        assert gateway.registry.orders == [("train", None, {"k": "2", "by": "ann", "stored": "true"})]

    def test_keeps_the_callers_note(self, gateway: FakeGateway) -> None:
        gateway.client.post(f"{MODELS}?note=quarterly")
        assert [order["note"] for _, _, order in gateway.registry.orders] == ["quarterly"]

    def test_of_whom_there_are_none_leaves_the_judgement_to_the_training(self, gateway: FakeGateway) -> None:
        assert gateway.client.post(MODELS).status_code == 202
        assert gateway.registry.uploads[0][2].decode() == ",".join(INPUT_NAMES) + "\r\n"

    @pytest.mark.parametrize(
        ("failure", "status", "code"), [(StoreUnavailable("the database cannot be reached"), 503, "store_unavailable")]
    )
    def test_while_the_database_fails(
        self, gateway: FakeGateway, failure: SegmentationError, status: int, code: str
    ) -> None:
        gateway.store.failure = failure
        assert_problem(gateway.client.post(MODELS), status, code)
        assert gateway.registry.uploads == []

    def test_while_the_database_fails_midway(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class FailsMidway(FakeRegistry):
            def train(self, upload: Upload, query: Any) -> Training:
                pieces = iter(upload.pieces)
                next(pieces), next(pieces)
                gateway.store.failure = StoreUnavailable("the database cannot be reached")
                next(pieces)
                raise AssertionError

        monkeypatch.setattr(trainings, "BLOCK_ROWS", 1)
        gateway = FakeGateway(registry=FailsMidway())
        gateway.store.insert_many([stored(name) for name in "ABC"])
        assert_problem(gateway.client.post(MODELS), 503, "store_unavailable")


@given(st.lists(faultless(), max_size=5))
def test_csv_says_exactly_what_is_stored(customers: list[dict[str, Any]]) -> None:
    columns = {name: [customer[name] for customer in customers] for name in INPUT_NAMES}
    read = _rows(b"".join(csv_of([Block([""] * len(customers), columns)])))
    values = [{name: float(cell) if cell else None for name, cell in row.items()} for row in read]
    assert values == [{name: customer[name] for name in INPUT_NAMES} for customer in customers]


def test_csv_comes_block_by_block() -> None:
    asked = []

    def blocks() -> Iterator[Block]:
        for n in range(3):
            asked.append(n)
            yield Block(["A"], {name: [1.0] for name in INPUT_NAMES})

    pieces = csv_of(blocks())
    assert (len(next(pieces)) > 0, asked) == (True, [])
    assert (next(pieces).count(b"\n"), asked) == (1, [0])


class TestFollowing:
    def test_one_and_all(self, gateway: FakeGateway) -> None:
        for _ in range(2):
            gateway.client.post(MODELS)
        assert gateway.client.get(f"{TRAININGS}/t2").json["id"] == "t2"
        assert [t["id"] for t in gateway.client.get(TRAININGS).json["items"]] == ["t2", "t1"]

    def test_its_log(self, gateway: FakeGateway) -> None:
        gateway.client.post(MODELS)
        answer = gateway.client.get(f"{TRAININGS}/t1/log")
        assert (answer.content_type, answer.text) == ("text/plain; charset=utf-8", "t1: größer\n")

    def test_and_stopping_it(self, gateway: FakeGateway) -> None:
        gateway.client.post(MODELS)
        answer = gateway.client.post(f"{TRAININGS}/t1/cancel")
        assert (answer.status_code, answer.json["status"]) == (202, "cancelled")
        assert_problem(gateway.client.post(f"{TRAININGS}/t1/cancel"), 409, "training_ended")

    @pytest.mark.parametrize(("method", "below"), [("GET", ""), ("GET", "/log"), ("POST", "/cancel")])
    def test_one_that_is_not_there(self, gateway: FakeGateway, method: str, below: str) -> None:
        assert_problem(gateway.client.open(f"{TRAININGS}/t9{below}", method=method), 404, "training_not_found")
