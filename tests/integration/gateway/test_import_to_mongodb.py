"""Files into real MongoDB, as the command line does it, with a fake model."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.customers import body
from fakes.gateway import FakeGateway
from fakes.model import DOWN
from pymongo.collection import Collection

from gateway.__main__ import import_file
from gateway.services.imports import Receipt
from gateway.wiring import Services, assemble

ROWS = 2_500
"""Two and a half batches."""


@pytest.fixture
def services(gateway: FakeGateway) -> Services:
    """The services on real MongoDB and the fake model."""
    return assemble(gateway.stores, gateway.model, gateway.registry, gateway.settings)


def _write(file: Path, rows: int = ROWS, **changes: object) -> Path:
    lines = [",".join(body())]
    lines += [",".join(map(str, body(f"C{n}", **{"BALANCE": n, **changes}).values())) for n in range(rows)]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def _counts(receipt: Receipt) -> tuple[int, int, int, int, int]:
    return receipt.created, receipt.updated, receipt.unchanged, receipt.rejected, receipt.pending


def test_stores_all_with_segments_and_the_same_file_again_changes_nothing(
    services: Services, customers: Collection, tmp_path: Path
) -> None:
    file = _write(tmp_path / "customers.csv")
    assert _counts(import_file(services.imports, file)) == (ROWS, 0, 0, 0, 0)
    assert customers.count_documents({"segment_status": "assigned"}) == ROWS
    before = list(customers.find().sort("_id"))
    assert _counts(import_file(services.imports, file)) == (0, 0, ROWS, 0, 0)
    assert list(customers.find().sort("_id")) == before


def test_updates_what_differs(services: Services, tmp_path: Path) -> None:
    import_file(services.imports, _write(tmp_path / "customers.csv", 10))
    file = _write(tmp_path / "customers.csv", 12, BALANCE=5)
    assert _counts(import_file(services.imports, file)) == (2, 9, 1, 0, 0)


def test_without_the_model_the_worker_assigns_later(
    services: Services, gateway: FakeGateway, customers: Collection, tmp_path: Path
) -> None:
    gateway.model.failure = DOWN
    assert _counts(import_file(services.imports, _write(tmp_path / "customers.csv"))) == (ROWS, 0, 0, 0, ROWS)
    gateway.model.failure = None
    assert services.reconciler.run_once() == ROWS
    assert customers.count_documents({"segment_status": "assigned"}) == ROWS
    assert services.reconciler.run_once() == 0
