"""The sample over HTTP, on fakes: it is loaded into an empty database alone, and only itself is removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.model import DOWN
from support.customers import body, stored
from support.problems import assert_problem

from gateway import wiring
from gateway.files.reader import CustomerFile
from gateway.services.imports import sample
from gateway.services.imports.imports import ImportOptions
from gateway.services.principal import COMMAND_LINE
from shared.features import CUST_ID
from shared.model_contract import CSV

SAMPLE = "/api/v1/sample"
EMPTY = {"customers": 0, "changed": 0, "size": 6_000, "first": "S00001", "last": "S06000", "others": False}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sample_csv: Path) -> None:
    """A sample of five customers."""
    lines = sample_csv.read_text(encoding="utf-8").splitlines()[:6]
    (tmp_path / "sample.csv").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(wiring, "SAMPLE", tmp_path / "sample.csv")
    monkeypatch.setattr(sample, "IDS", sample.IDS[:5])
    monkeypatch.setattr(sample, "SIZE", 5)


def test_the_ids_are_those_of_the_file(sample_csv: Path) -> None:
    ids = [line.partition(",")[0] for line in sample_csv.read_text(encoding="utf-8").splitlines()]
    assert tuple(ids) == (CUST_ID, *sample.IDS)
    assert sample_csv.samefile(wiring.SAMPLE)


@pytest.mark.usefixtures("small")
class TestTheSample:
    def test_is_loaded_as_an_import_and_removed_with_one_call(self, gateway: FakeGateway) -> None:
        assert gateway.client.get(SAMPLE).json == EMPTY | {"size": 5, "last": "S00005"}
        answer = gateway.client.post(SAMPLE)
        assert (answer.status_code, answer.json["created"], answer.json["name"]) == (201, 5, "sample.csv")
        assert gateway.client.get(answer.headers["Location"]).json["status"] == "completed"
        assert gateway.client.get(SAMPLE).json["customers"] == 5
        assert gateway.client.delete(SAMPLE).json == {"deleted": 5, "remaining": 0, "changed": 0}
        assert gateway.store.customers == {}
        assert gateway.client.post(f"{CUSTOMERS}/S00001/restore").status_code == 200

    def test_is_completed_by_another_call(self, gateway: FakeGateway) -> None:
        gateway.client.post(SAMPLE)
        gateway.client.delete(f"{CUSTOMERS}/S00003")
        receipt = gateway.client.post(SAMPLE).json
        assert (receipt["created"], receipt["rows"]) == (1, 1)
        assert gateway.client.delete(SAMPLE).json["deleted"] == 5
        assert gateway.client.delete(SAMPLE).json == {"deleted": 0, "remaining": 0, "changed": 0}

    @pytest.mark.parametrize("other", ["A", "C10001", "S00001x", "S0001", "S00006", "T"])
    def test_is_never_mixed_with_others_and_they_outlive_it(self, gateway: FakeGateway, other: str) -> None:
        gateway.client.post(CUSTOMERS, json=body(other))
        assert_problem(gateway.client.post(SAMPLE), 409, "customers_stored")
        assert list(gateway.store.customers) == [other]
        file = wiring.SAMPLE.read_bytes()
        assert gateway.client.post("/api/v1/imports", data=file, content_type=CSV).json["created"] == 5
        assert gateway.client.get(SAMPLE).json["others"]
        assert gateway.client.delete(SAMPLE).json == {"deleted": 5, "remaining": 0, "changed": 0}
        assert list(gateway.store.customers) == [other]

    def test_never_touches_customers_of_the_bank_under_its_ids(self, gateway: FakeGateway) -> None:
        gateway.client.post(CUSTOMERS, json=body("S00001"))
        before = dict(gateway.store.customers["S00001"])
        problem = assert_problem(gateway.client.post(SAMPLE), 409, "customers_stored")
        assert "1 of them has an id of the sample, and other data" in problem["detail"]
        assert gateway.client.get(SAMPLE).json == EMPTY | {"size": 5, "last": "S00005", "changed": 1, "others": True}
        assert gateway.client.delete(SAMPLE).json == {"deleted": 0, "remaining": 0, "changed": 1}
        assert gateway.store.customers == {"S00001": before}

    def test_leaves_whoever_was_edited(self, gateway: FakeGateway) -> None:
        gateway.client.post(SAMPLE)
        assert gateway.client.patch(f"{CUSTOMERS}/S00004", json={"BALANCE": 1.25}).status_code == 200
        assert_problem(gateway.client.post(SAMPLE), 409, "customers_stored")
        assert gateway.client.delete(SAMPLE).json == {"deleted": 4, "remaining": 0, "changed": 1}
        assert list(gateway.store.customers) == ["S00004"]

    def test_leaves_whoever_is_written_while_it_is_loaded_or_removed(self, gateway: FakeGateway) -> None:
        original = gateway.store.insert_many

        def after_somebody_else(customers: Any) -> Any:
            gateway.store.insert_many = original
            gateway.store.insert_many([stored("S00002")])
            return original(customers)

        gateway.store.insert_many = after_somebody_else
        receipt = gateway.client.post(SAMPLE).json
        assert (receipt["created"], receipt["rejected"]) == (4, 1)
        delete = gateway.store.delete_many

        def after_an_edit(cust_ids: Any, filters: Any) -> Any:
            gateway.store.delete_many = delete
            gateway.client.patch(f"{CUSTOMERS}/S00003", json={"BALANCE": 1.25})
            return delete(cust_ids, filters)

        gateway.store.delete_many = after_an_edit
        assert gateway.client.delete(SAMPLE).json == {"deleted": 3, "remaining": 0, "changed": 2}

    def test_is_loaded_and_removed_alone(self, gateway: FakeGateway) -> None:
        file, header = wiring.SAMPLE.read_bytes(), wiring.SAMPLE.read_bytes().partition(b"\n")[0]
        with gateway.services.imports.held():
            for answer in (gateway.client.post(SAMPLE), gateway.client.delete(SAMPLE)):
                assert_problem(answer, 409, "import_running")
            assert_problem(gateway.client.post("/api/v1/imports", data=file, content_type=CSV), 409, "import_running")
        run = gateway.services.imports.begin(CustomerFile(CSV, [header]), ImportOptions(), COMMAND_LINE)
        for answer in (gateway.client.post(SAMPLE), gateway.client.delete(SAMPLE)):
            problem = assert_problem(answer, 409, "import_running")
            assert run.record["id"] in problem["detail"]
        list(run.progress())
        original = gateway.store.insert_many

        def meanwhile(customers: Any) -> Any:
            assert_problem(gateway.client.delete(SAMPLE), 409, "import_running")
            return original(customers)

        gateway.store.insert_many = meanwhile
        assert gateway.client.post(SAMPLE).json["created"] == 5
        assert gateway.client.delete(SAMPLE).json["deleted"] == 5

    def test_is_loaded_while_the_model_service_is_away(self, gateway: FakeGateway) -> None:
        gateway.model.failure = DOWN
        assert gateway.client.post(SAMPLE).json["pending"] == 5

    def test_may_not_be_there(self, gateway: FakeGateway) -> None:
        wiring.SAMPLE.unlink()
        assert_problem(gateway.client.post(SAMPLE), 404, "sample_missing")
