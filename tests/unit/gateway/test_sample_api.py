"""The sample over HTTP, on fakes: it is loaded into an empty database alone, and only itself is removed."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.model import DOWN
from support.customers import body, stored
from support.problems import assert_problem

from gateway import wiring
from gateway.services.imports import sample
from shared.features import CUST_ID

SAMPLE = "/api/v1/sample"
EMPTY = {"customers": 0, "size": 6_000, "first": "S00001", "last": "S06000", "others": False}


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
        assert gateway.client.delete(SAMPLE).json == {"deleted": 5, "remaining": 0}
        assert gateway.store.customers == {}
        assert gateway.client.post(f"{CUSTOMERS}/S00001/restore").status_code == 200

    def test_is_completed_by_another_call(self, gateway: FakeGateway) -> None:
        gateway.client.post(SAMPLE)
        gateway.client.delete(f"{CUSTOMERS}/S00003")
        receipt = gateway.client.post(SAMPLE).json
        assert (receipt["created"], receipt["unchanged"]) == (1, 4)
        assert gateway.client.delete(SAMPLE).json["deleted"] == 5
        assert gateway.client.delete(SAMPLE).json == {"deleted": 0, "remaining": 0}

    @pytest.mark.parametrize("other", ["A", "C10001", "S00001x", "S0001", "S00006", "T"])
    def test_is_never_mixed_with_others_and_they_outlive_it(self, gateway: FakeGateway, other: str) -> None:
        gateway.client.post(CUSTOMERS, json=body(other))
        assert_problem(gateway.client.post(SAMPLE), 409, "customers_stored")
        assert list(gateway.store.customers) == [other]
        gateway.store.insert_many([stored("S00002")])
        assert gateway.client.get(SAMPLE).json["others"]
        assert gateway.client.delete(SAMPLE).json == {"deleted": 1, "remaining": 0}
        assert list(gateway.store.customers) == [other]

    def test_is_loaded_while_the_model_service_is_away(self, gateway: FakeGateway) -> None:
        gateway.model.failure = DOWN
        assert gateway.client.post(SAMPLE).json["pending"] == 5

    def test_may_not_be_there(self, gateway: FakeGateway) -> None:
        wiring.SAMPLE.unlink()
        assert_problem(gateway.client.post(SAMPLE), 404, "sample_missing")
