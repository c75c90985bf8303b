"""Files into real MongoDB, as the command line does it, with a fake model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from fakes.gateway import FakeGateway
from fakes.model import DOWN
from pymongo.collection import Collection
from support.customers import body

from gateway.commands.imports import import_file
from gateway.data_access.mongo.customer_schema import validator
from gateway.services.customers.bulk_writes import Mode
from gateway.services.imports.imports import ImportOptions
from gateway.wiring import Services

PLAIN = ImportOptions()
ROWS = 12_000
"""Two batches and a half."""


@pytest.fixture
def services(gateway: FakeGateway) -> Services:
    """The services on real MongoDB and the fake model."""
    return gateway.services


def _write(file: Path, rows: int = ROWS, **changes: object) -> Path:
    lines = [",".join(body())]
    lines += [",".join(map(str, body(f"C{n}", **{"BALANCE": n, **changes}).values())) for n in range(rows)]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def _counts(services: Services, file: Path, order: ImportOptions = PLAIN) -> Sequence[int]:
    receipt = import_file(services.imports, file, order)
    assert receipt["status"] == "completed"
    return [receipt[name] for name in ("created", "updated", "unchanged", "rejected", "pending")]  # type: ignore[literal-required]


def test_stores_all_with_segments_and_the_same_file_again_changes_nothing(
    services: Services, customers: Collection, tmp_path: Path
) -> None:
    file = _write(tmp_path / "customers.csv")
    assert _counts(services, file) == [ROWS, 0, 0, 0, 0]
    assert customers.count_documents({"segment_status": "assigned"}) == ROWS
    before = list(customers.find().sort("_id"))
    assert _counts(services, file) == [0, 0, ROWS, 0, 0]
    assert list(customers.find().sort("_id")) == before


def test_writes_nothing_that_the_validator_would_refuse(
    services: Services, customers: Collection, tmp_path: Path
) -> None:
    """It is not asked on the way, which would take mongod two fifths of its time."""
    _counts(services, _write(tmp_path / "some.csv", 10))
    _counts(
        services, _write(tmp_path / "others.csv", 20, CREDIT_LIMIT="", MINIMUM_PAYMENTS="", TENURE="6.0", PAYMENTS="-0")
    )
    assert customers.count_documents({}) == 20
    assert customers.count_documents({"$nor": [validator()]}) == 0


def test_updates_what_differs(services: Services, tmp_path: Path) -> None:
    _counts(services, _write(tmp_path / "customers.csv", 10))
    assert _counts(services, _write(tmp_path / "customers.csv", 12, BALANCE=5)) == [2, 9, 1, 0, 0]


@pytest.mark.parametrize("mode", list(Mode))
def test_a_dry_run_says_what_would_happen(
    services: Services, customers: Collection, tmp_path: Path, mode: Mode
) -> None:
    _counts(services, _write(tmp_path / "customers.csv", 10))
    before = list(customers.find().sort("_id"))
    file = _write(tmp_path / "customers.csv", 12, BALANCE=5)
    would = _counts(services, file, ImportOptions(mode, dry_run=True))
    assert list(customers.find().sort("_id")) == before
    assert _counts(services, file, ImportOptions(mode)) == would


def test_without_the_model_the_worker_assigns_later(
    services: Services, gateway: FakeGateway, customers: Collection, tmp_path: Path
) -> None:
    gateway.model.failure = DOWN
    assert _counts(services, _write(tmp_path / "customers.csv", 2_500)) == [2_500, 0, 0, 0, 2_500]
    gateway.model.failure = None
    assert services.assignments.reconciler.run_once() == 2_500
    assert customers.count_documents({"segment_status": "assigned"}) == 2_500
    assert services.assignments.reconciler.run_once() == 0
