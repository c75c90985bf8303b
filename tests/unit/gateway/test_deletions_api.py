"""Deleted customers and erasures over HTTP, on fakes."""

from __future__ import annotations

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.model import DOWN
from support.customers import body
from support.problems import assert_problem

from gateway.services.errors import StoreUnavailable
from gateway.settings import Settings
from shared.features import CUST_ID

ONE = f"{CUSTOMERS}/C1"
DELETED = "/api/v1/deleted-customers"
ERASURES = "/api/v1/erasures"


def delete(gateway: FakeGateway, *cust_ids: str) -> None:
    for cust_id in cust_ids:
        assert gateway.client.post(CUSTOMERS, json=body(cust_id)).status_code == 201
        assert gateway.client.delete(f"{CUSTOMERS}/{cust_id}").status_code == 204


class TestDeletedCustomers:
    def test_a_deleted_customer_is_found_among_the_deleted_ones_only(self, gateway: FakeGateway) -> None:
        delete(gateway, "C1")
        assert_problem(gateway.client.get(ONE), 404, "customer_not_found")
        assert gateway.client.get(CUSTOMERS).json["items"] == []
        found = gateway.client.get(f"{DELETED}/C1")
        assert found.json == gateway.client.get(DELETED).json["items"][0]
        assert (found.json[CUST_ID], found.json["BALANCE"]) == ("C1", 100.0)
        assert found.json["deleted_at"].endswith("Z")
        assert found.json["expires_at"][:19] > found.json["deleted_at"][:19]
        assert "_id" not in found.json

    def test_pages(self, gateway: FakeGateway) -> None:
        delete(gateway, "C1", "C2", "C3")
        first = gateway.client.get(f"{DELETED}?limit=2")
        assert [customer[CUST_ID] for customer in first.json["items"]] == ["C1", "C2"]
        link = first.headers["Link"]
        assert link.endswith('>; rel="next"')
        second = gateway.client.get(link[1 : link.index(">")])
        assert [customer[CUST_ID] for customer in second.json["items"]] == ["C3"]
        assert (second.json["next_cursor"], "Link" in second.headers) == (None, False)

    def test_bad_requests(self, gateway: FakeGateway) -> None:
        assert_problem(gateway.client.get(f"{DELETED}?limit=0"), 422, "validation_failed", ["?limit"])
        assert_problem(gateway.client.get(f"{DELETED}?cursor=x"), 422, "validation_failed", ["?cursor"])
        assert_problem(gateway.client.get(f"{DELETED}?segment=x"), 422, "validation_failed", ["?segment"])
        assert_problem(gateway.client.get(f"{DELETED}/a%20b"), 422, "validation_failed", [f"/{CUST_ID}"])
        assert_problem(gateway.client.get(f"{DELETED}/C1"), 404, "customer_not_deleted")

    def test_a_database_that_is_away_deletes_nothing(self, gateway: FakeGateway) -> None:
        gateway.client.post(CUSTOMERS, json=body())
        gateway.deleted.failure = StoreUnavailable("away")
        assert_problem(gateway.client.delete(ONE), 503, "store_unavailable")
        assert_problem(gateway.client.get(DELETED), 503, "store_unavailable")
        assert gateway.client.get(ONE).status_code == 200

    def test_without_retention_nothing_is_kept(self) -> None:
        gateway = FakeGateway(settings=Settings(deleted_retention_days=0))
        delete(gateway, "C1")
        assert gateway.client.get(DELETED).json == {"items": [], "next_cursor": None}
        assert_problem(gateway.client.post(f"{ONE}/restore"), 404, "customer_not_deleted")


class TestRestore:
    def test_brings_the_customer_back_under_a_new_etag(self, gateway: FakeGateway) -> None:
        before = gateway.client.post(CUSTOMERS, json=body())
        gateway.client.delete(ONE)
        answer = gateway.client.post(f"{ONE}/restore")
        assert answer.status_code == 200
        assert answer.headers["ETag"] == f'"{answer.json["revision"]}"' != before.headers["ETag"]
        assert answer.json.keys() == before.json.keys()
        segment = {**before.json["segment"], "since": answer.json["updated_at"], "cause": "restored"}
        news = {name: answer.json[name] for name in ("revision", "updated_at")}
        assert answer.json == {**before.json, **news, "segment": segment, "seq": 3}
        assert gateway.client.get(ONE).headers["ETag"] == answer.headers["ETag"]
        assert gateway.client.get(DELETED).json["items"] == []

    def test_needs_no_model_and_leaves_what_is_old_to_the_worker(self, gateway: FakeGateway) -> None:
        delete(gateway, "C1")
        gateway.model.current, gateway.model.failure = "v2", DOWN
        assert gateway.client.post(f"{ONE}/restore").json["segment"]["model_version"] == "v1"
        gateway.model.failure = None
        assert gateway.services.assignments.reconciler.run_once() == 1
        assert gateway.client.get(ONE).json["segment"]["model_version"] == "v2"

    def test_of_nobody(self, gateway: FakeGateway) -> None:
        assert_problem(gateway.client.post(f"{ONE}/restore"), 404, "customer_not_deleted")

    @pytest.mark.parametrize("deleted", [True, False])
    def test_of_an_id_that_is_taken(self, gateway: FakeGateway, deleted: bool) -> None:
        if deleted:
            delete(gateway, "C1")
        gateway.client.post(CUSTOMERS, json=body())
        assert_problem(gateway.client.post(f"{ONE}/restore"), 409, "customer_exists")


class TestErase:
    def test_removes_a_living_customer_for_good(self, gateway: FakeGateway) -> None:
        gateway.client.post(CUSTOMERS, json=body(), headers={"Idempotency-Key": "key-1"})
        gateway.client.patch(ONE, json={"BALANCE": 5})
        gateway.registry.quoting["C1"] = 2
        answer = gateway.client.delete(f"{ONE}?erase=true")
        assert answer.status_code == 200
        receipt = answer.json
        assert (receipt["status"], receipt["remaining"]) == ("completed", [])
        assert receipt["erased"].items() >= {"customers": 1, "deleted_customers": 0, "trainings": 2}.items()
        assert receipt["erased"]["idempotency"] == 1
        assert "C1" not in answer.text
        told = " ".join(receipt["not_reached"])
        for place in ("Exports", "Imports", "Models", "API keys", "(by)", "segments", "reasons", "notes", "logs"):
            assert place in told
        assert "oplog" in told
        assert "backups" in told
        assert_problem(gateway.client.get(ONE), 404, "customer_not_found")
        assert_problem(gateway.client.post(f"{ONE}/restore"), 404, "customer_not_deleted")
        assert "C1" not in gateway.client.get("/api/v1/audit").text

    def test_removes_a_deleted_customer_for_good(self, gateway: FakeGateway) -> None:
        delete(gateway, "C1")
        assert gateway.client.delete(f"{ONE}?erase=true").json["erased"]["deleted_customers"] == 1
        assert gateway.client.get(DELETED).json["items"] == []

    def test_of_an_unknown_customer_is_what_was_asked_for(self, gateway: FakeGateway) -> None:
        receipt = gateway.client.delete(f"{ONE}?erase=true").json
        assert receipt["status"] == "completed"
        assert set(receipt["erased"].values()) == {0}

    def test_waits_for_a_model_service_that_is_away(self, gateway: FakeGateway) -> None:
        gateway.client.post(CUSTOMERS, json=body())
        gateway.registry.failure = DOWN
        answer = gateway.client.delete(f"{ONE}?erase=true")
        assert (answer.status_code, answer.json["status"], answer.json["remaining"]) == (
            200,
            "in_progress",
            ["trainings"],
        )
        assert_problem(gateway.client.get(ONE), 404, "customer_not_found")

    def test_of_a_stale_revision(self, gateway: FakeGateway) -> None:
        gateway.client.post(CUSTOMERS, json=body())
        answer = gateway.client.delete(f"{ONE}?erase=true", headers={"If-Match": '"older"'})
        assert_problem(answer, 412, "revision_mismatch")
        assert gateway.client.get(ONE).status_code == 200
        assert gateway.client.get(f"{ERASURES}?CUST_ID=C1").json == {"items": []}

    @pytest.mark.parametrize("erase", ["yes", "", "1", "True"])
    def test_in_other_words_is_refused_and_deletes_nothing(self, gateway: FakeGateway, erase: str) -> None:
        gateway.client.post(CUSTOMERS, json=body())
        assert_problem(gateway.client.delete(f"{ONE}?erase={erase}"), 422, "validation_failed", ["?erase"])
        assert gateway.client.get(ONE).status_code == 200

    def test_erase_false_is_a_plain_deletion(self, gateway: FakeGateway) -> None:
        gateway.client.post(CUSTOMERS, json=body())
        assert gateway.client.delete(f"{ONE}?erase=false").status_code == 204
        assert gateway.client.post(f"{ONE}/restore").status_code == 200

    def test_a_new_customer_of_the_same_id_is_a_new_one(self, gateway: FakeGateway) -> None:
        gateway.client.delete(f"{ONE}?erase=true")
        assert gateway.client.post(CUSTOMERS, json=body()).status_code == 201


class TestReceipts:
    def test_are_found_by_their_own_id_and_by_the_customers(self, gateway: FakeGateway) -> None:
        first = gateway.client.delete(f"{ONE}?erase=true").json
        second = gateway.client.delete(f"{ONE}?erase=true").json
        assert gateway.client.get(f"{ERASURES}/{first['id']}").json == first
        found = gateway.client.get(f"{ERASURES}?CUST_ID=C1")
        assert {receipt["id"] for receipt in found.json["items"]} == {first["id"], second["id"]}
        assert "C1" not in found.text
        assert gateway.client.get(f"{ERASURES}?CUST_ID=C2").json == {"items": []}

    def test_bad_requests(self, gateway: FakeGateway) -> None:
        assert_problem(gateway.client.get(f"{ERASURES}/e9"), 404, "erasure_not_found")
        assert_problem(gateway.client.get(ERASURES), 422, "validation_failed", ["?CUST_ID"])
        assert_problem(gateway.client.get(f"{ERASURES}?CUST_ID=a b"), 422, "validation_failed", ["?CUST_ID"])
        assert_problem(gateway.client.get(f"{ERASURES}?CUST_ID=A&CUST_ID=B"), 422, "validation_failed", ["?CUST_ID"])
