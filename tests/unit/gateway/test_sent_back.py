"""What the service answers about a customer can be sent back to it: its own members are ignored, and named."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.gateway import CUSTOMERS, PREDICTIONS, FakeGateway
from support.customers import body
from support.problems import assert_problem

from gateway.services.customers.customer import KEPT_BY_SERVICE, Customer
from shared.customer_files.ndjson import OWN_FIELDS
from shared.features import CUST_ID

ONE = f"{CUSTOMERS}/C1"


@pytest.fixture
def shown(gateway: FakeGateway) -> dict[str, Any]:
    """A stored customer as GET answers it."""
    gateway.client.post(CUSTOMERS, json=body())
    answer: dict[str, Any] = gateway.client.get(ONE).get_json()
    return answer


def _ignored(answer: dict[str, Any]) -> set[str]:
    return {found["pointer"][1:] for found in answer["warnings"] if found["code"] == "member_ignored"}


def test_the_members_are_those_that_a_customer_has() -> None:
    assert set(KEPT_BY_SERVICE) == set(Customer.__annotations__) - {CUST_ID} == OWN_FIELDS


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_unchanged_it_changes_nothing(gateway: FakeGateway, shown: dict[str, Any], method: str) -> None:
    answer = gateway.client.open(ONE, method=method, json=shown)
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["revision"] == shown["revision"]
    assert _ignored(answer.get_json()) == set(KEPT_BY_SERVICE)
    assert gateway.client.get(ONE).get_json() == shown


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_with_another_feature_that_one_changes(gateway: FakeGateway, shown: dict[str, Any], method: str) -> None:
    answer = gateway.client.open(ONE, method=method, json={**shown, "BALANCE": 77.0}).get_json()
    assert answer["BALANCE"] == 77.0
    assert answer["created_at"] == shown["created_at"]
    again = gateway.client.put(ONE, json=answer)  # what a write answers can be sent back, too
    assert again.status_code == 200, again.text
    assert _ignored(again.get_json()) == {*KEPT_BY_SERVICE, "warnings"}


def test_a_time_may_be_written_in_another_way(gateway: FakeGateway, shown: dict[str, Any]) -> None:
    milliseconds = shown["updated_at"][:-1].rstrip("0").ljust(20, ".").ljust(23, "0")[:23]
    same = [f"{milliseconds}Z", f"{milliseconds}+00:00", f"{milliseconds}z"]
    for text in same:
        assert gateway.client.put(ONE, json={**shown, "updated_at": text}).status_code == 200


CHANGES: list[tuple[str, Any]] = [
    ("segment", None),
    ("segment", "seg-01"),
    ("segment", {"id": "seg-99"}),
    ("segment", []),
    ("segment_status", "pending"),
    ("segment_status", None),
    ("revision", "0" * 16),
    ("revision", 1),
    ("created_at", "2020-01-01T00:00:00Z"),
    ("created_at", "yesterday"),
    ("updated_at", 5),
]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_a_changed_one_is_refused(
    gateway: FakeGateway, shown: dict[str, Any], method: str, name: str, value: Any
) -> None:
    answer = gateway.client.open(ONE, method=method, json={**shown, name: value, "BALANCE": 77.0})
    (error,) = assert_problem(answer, 422, "validation_failed", [f"/{name}"])["errors"]
    assert "set by the service" in error["detail"]
    assert gateway.client.get(ONE).get_json() == shown


NEVER_ANSWERED: list[tuple[str, Any]] = [
    ("segment", "seg-01"),
    ("segment", {"id": "seg-99"}),
    ("segment_status", "done"),
    ("segment_status", None),
    ("revision", 1),
    ("created_at", "yesterday"),
    ("updated_at", None),
    ("warnings", {}),
]


@pytest.mark.parametrize(("name", "value"), NEVER_ANSWERED)
@pytest.mark.parametrize("path", [CUSTOMERS, PREDICTIONS])
def test_what_was_never_answered_is_refused(gateway: FakeGateway, path: str, name: str, value: Any) -> None:
    assert_problem(gateway.client.post(path, json={**body(), name: value}), 422, "validation_failed", [f"/{name}"])


def test_a_changed_part_of_the_segment_is_refused(gateway: FakeGateway, shown: dict[str, Any]) -> None:
    for name in shown["segment"]:
        answer = gateway.client.put(ONE, json={**shown, "segment": {**shown["segment"], name: "other"}})
        assert_problem(answer, 422, "validation_failed", ["/segment"])


def test_a_customer_that_is_not_there_is_created_from_what_was_answered(
    gateway: FakeGateway, shown: dict[str, Any]
) -> None:
    gateway.client.delete(ONE)
    deleted = gateway.client.get("/api/v1/deleted-customers/C1").get_json()
    answer = gateway.client.put(ONE, json=deleted)
    assert answer.status_code == 201, answer.text
    assert _ignored(answer.get_json()) == {*KEPT_BY_SERVICE, "deleted_at", "expires_at"}
    assert answer.get_json()["revision"] != shown["revision"]
    gateway.client.delete(ONE)
    assert _ignored(gateway.client.post(CUSTOMERS, json=shown).get_json()) == set(KEPT_BY_SERVICE)


def test_a_batch_takes_what_a_list_answers(gateway: FakeGateway, shown: dict[str, Any]) -> None:
    items = gateway.client.get(CUSTOMERS).get_json()["items"]
    answer = gateway.client.post(f"{CUSTOMERS}/batch", json={"customers": items}).get_json()
    assert answer["unchanged"] == 1
    assert _ignored(answer["results"][0]) == set(KEPT_BY_SERVICE)
    assert gateway.client.get(ONE).get_json() == shown


def test_a_prediction_takes_a_stored_customer(gateway: FakeGateway, shown: dict[str, Any]) -> None:
    one = gateway.client.post(PREDICTIONS, json=shown).get_json()
    many = gateway.client.post(PREDICTIONS, json={"customers": [shown]}).get_json()["predictions"]
    for answer in (one, *many):
        assert _ignored(answer) == set(KEPT_BY_SERVICE)


def test_other_members_are_unknown_as_ever(gateway: FakeGateway, shown: dict[str, Any]) -> None:
    assert_problem(gateway.client.put(ONE, json={**shown, "segments": 1}), 422, "validation_failed", ["/segments"])
