"""The customers resource over HTTP: every operation, conditional requests and what a write answers."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.model import DOWN, MALFORMED, SLOW
from support.customers import body, inputs
from support.problems import assert_problem

from gateway.services.customers.customer import KEPT_BY_SERVICE
from gateway.services.errors import ModelServiceError
from shared.features import CUST_ID, FEATURES, REQUIRED_NAMES, complete

MEMBERS = {CUST_ID, *(f.name for f in FEATURES), *KEPT_BY_SERVICE}
ONE = f"{CUSTOMERS}/C1"


@pytest.fixture
def etag(gateway: FakeGateway) -> str:
    """The ETag of customer C1, who is stored."""
    return gateway.client.post(CUSTOMERS, json=body()).headers["ETag"]


class TestCreate:
    def test_answers_the_customer_with_its_segment(self, gateway: FakeGateway) -> None:
        answer = gateway.client.post(CUSTOMERS, json=body(BALANCE=5_000))
        assert answer.status_code == 201
        assert answer.headers["Location"] == ONE
        assert answer.headers["ETag"] == f'"{answer.json["revision"]}"'
        assert set(answer.json) == {*MEMBERS, "warnings"}
        assert complete(inputs(BALANCE=5_000)).items() <= answer.json.items()
        segment = answer.json["segment"]
        assert (segment["id"], segment["rival"], segment["model_version"]) == ("seg-02", "seg-01", "v1")
        assert answer.json["segment_status"] == "assigned"

    def test_times_are_rfc_3339_in_utc(self, gateway: FakeGateway) -> None:
        sent = gateway.client.post(CUSTOMERS, json=body()).json
        for text in (sent["created_at"], sent["updated_at"], sent["segment"]["assigned_at"]):
            assert text.endswith("Z")
            assert datetime.fromisoformat(text).utcoffset() is not None

    def test_what_it_answers_is_what_is_read_later(self, gateway: FakeGateway) -> None:
        answer = gateway.client.post(CUSTOMERS, json=body())
        read = gateway.client.get(answer.headers["Location"])
        assert read.status_code == 200
        assert {**read.json, "warnings": []} == answer.json
        assert read.headers["ETag"] == answer.headers["ETag"]
        assert set(read.json) == MEMBERS

    def test_warns_of_what_looks_odd(self, gateway: FakeGateway) -> None:
        answer = gateway.client.post(CUSTOMERS, json=body(TENURE=3))
        assert [(w["pointer"], w["code"]) for w in answer.json["warnings"]] == [("/TENURE", "short_tenure")]

    def test_of_a_taken_id(self, gateway: FakeGateway, etag: str) -> None:
        answer = gateway.client.post(CUSTOMERS, json=body(BALANCE=7.0))
        assert "'C1'" in assert_problem(answer, 409, "customer_exists")["detail"]
        assert gateway.client.get(ONE).headers["ETag"] == etag

    @pytest.mark.parametrize("failure", [DOWN, SLOW, MALFORMED])
    def test_does_not_depend_on_the_model(self, gateway: FakeGateway, failure: ModelServiceError) -> None:
        gateway.model.failure = failure
        answer = gateway.client.post(CUSTOMERS, json=body())
        assert (answer.status_code, answer.json["segment"], answer.json["segment_status"]) == (201, None, "pending")

    def test_nullable_and_derived_features_may_be_absent_or_null(self, gateway: FakeGateway) -> None:
        sent = body(CREDIT_LIMIT=None, AVERAGE_PURCHASE_TRX=None)
        del sent["MINIMUM_PAYMENTS"]
        answer = gateway.client.post(CUSTOMERS, json=sent)
        assert (answer.status_code, answer.json["MINIMUM_PAYMENTS"], answer.json["CREDIT_LIMIT"]) == (201, None, None)

    def test_takes_a_charset(self, gateway: FakeGateway) -> None:
        answer = gateway.send("PUT", ONE, gateway.app.json.dumps(inputs()), "application/json; charset=utf-8")
        assert answer.status_code == 201


class TestRead:
    def test_of_nobody(self, gateway: FakeGateway) -> None:
        assert "'C1'" in assert_problem(gateway.client.get(ONE), 404, "customer_not_found")["detail"]

    def test_head_is_get_without_a_body(self, gateway: FakeGateway, etag: str) -> None:
        answer = gateway.client.head(ONE)
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (200, b"", etag)

    @pytest.mark.parametrize("tags", ["{}", "W/{}", '"other", {}', "*"])
    def test_what_the_caller_knows_is_not_sent_again(self, gateway: FakeGateway, etag: str, tags: str) -> None:
        answer = gateway.client.get(ONE, headers={"If-None-Match": tags.format(etag)})
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", etag)

    def test_what_has_changed_is_sent(self, gateway: FakeGateway, etag: str) -> None:
        assert gateway.client.get(ONE, headers={"If-None-Match": '"older"'}).status_code == 200


class TestReplace:
    def test_creates(self, gateway: FakeGateway) -> None:
        answer = gateway.client.put(ONE, json=inputs())
        assert (answer.status_code, answer.headers["Location"]) == (201, ONE)
        assert answer.json[CUST_ID] == "C1"

    def test_replaces(self, gateway: FakeGateway, etag: str) -> None:
        answer = gateway.client.put(ONE, json=body(BALANCE=5_000))
        assert (answer.status_code, answer.json["segment"]["id"]) == (200, "seg-02")
        assert "Location" not in answer.headers
        assert answer.headers["ETag"] != etag

    def test_by_the_same_keeps_the_etag(self, gateway: FakeGateway, etag: str) -> None:
        answer = gateway.client.put(ONE, json=body())
        assert (answer.status_code, answer.headers["ETag"]) == (200, etag)

    def test_never_renames(self, gateway: FakeGateway, etag: str) -> None:
        assert_problem(gateway.client.put(ONE, json=body("C2")), 422, "validation_failed", [f"/{CUST_ID}"])
        assert list(gateway.store.customers) == ["C1"]


class TestPatch:
    @pytest.mark.parametrize("content_type", ["application/merge-patch+json", "application/json"])
    def test_changes_what_it_names(self, gateway: FakeGateway, etag: str, content_type: str) -> None:
        answer = gateway.send("PATCH", ONE, '{"BALANCE": 5000, "CREDIT_LIMIT": null}', content_type)
        assert answer.status_code == 200
        assert (answer.json["BALANCE"], answer.json["CREDIT_LIMIT"], answer.json["TENURE"]) == (5000.0, None, 12)
        assert answer.json["segment"]["id"] == "seg-02"
        assert [w["code"] for w in answer.json["warnings"]] == ["missing_limit"]
        assert answer.headers["ETag"] != etag

    @pytest.mark.parametrize("changes", ["{}", '{"CUST_ID": "C1"}', '{"BALANCE": 100}'])
    def test_that_changes_nothing_keeps_the_etag(self, gateway: FakeGateway, etag: str, changes: str) -> None:
        answer = gateway.send("PATCH", ONE, changes)
        assert (answer.status_code, answer.headers["ETag"]) == (200, etag)

    def test_cannot_remove_what_is_required(self, gateway: FakeGateway, etag: str) -> None:
        assert_problem(gateway.client.patch(ONE, json={"BALANCE": None}), 422, "validation_failed", ["/BALANCE"])

    def test_never_renames(self, gateway: FakeGateway, etag: str) -> None:
        assert_problem(gateway.client.patch(ONE, json={CUST_ID: "C2"}), 422, "validation_failed", [f"/{CUST_ID}"])

    def test_of_nobody(self, gateway: FakeGateway) -> None:
        assert_problem(gateway.client.patch(ONE, json={"BALANCE": 1}), 404, "customer_not_found")


class TestDelete:
    def test_removes(self, gateway: FakeGateway, etag: str) -> None:
        answer = gateway.client.delete(ONE)
        assert (answer.status_code, answer.data, answer.content_type) == (204, b"", None)
        assert_problem(gateway.client.get(ONE), 404, "customer_not_found")

    def test_of_nobody(self, gateway: FakeGateway) -> None:
        assert_problem(gateway.client.delete(ONE), 404, "customer_not_found")


WRITES = [("PUT", inputs(BALANCE=9.0)), ("PATCH", {"BALANCE": 9.0}), ("DELETE", None)]
each_write = pytest.mark.parametrize(("method", "sent"), WRITES, ids=[method for method, _ in WRITES])


@each_write
class TestIfMatch:
    @pytest.mark.parametrize("tags", ["{}", '"other", {}', "*"])
    def test_a_known_revision_is_written(
        self, gateway: FakeGateway, etag: str, method: str, sent: object, tags: str
    ) -> None:
        answer = gateway.client.open(ONE, method=method, json=sent, headers={"If-Match": tags.format(etag)})
        assert answer.status_code in (200, 204)

    @pytest.mark.parametrize("tags", ['"other"', "W/{}", "", "rubbish"])
    def test_a_stale_revision_is_not(
        self, gateway: FakeGateway, etag: str, method: str, sent: object, tags: str
    ) -> None:
        answer = gateway.client.open(ONE, method=method, json=sent, headers={"If-Match": tags.format(etag)})
        assert_problem(answer, 412, "revision_mismatch")
        assert gateway.client.get(ONE).headers["ETag"] == etag

    def test_the_etag_of_an_earlier_customer_of_this_id_is_stale(
        self, gateway: FakeGateway, etag: str, method: str, sent: object
    ) -> None:
        gateway.client.delete(ONE)
        gateway.client.post(CUSTOMERS, json=body())
        answer = gateway.client.open(ONE, method=method, json=sent, headers={"If-Match": etag})
        assert_problem(answer, 412, "revision_mismatch")


@pytest.mark.parametrize("tags", ['"any"', "*"])
def test_if_match_never_creates(gateway: FakeGateway, tags: str) -> None:
    answer = gateway.client.put(ONE, json=inputs(), headers={"If-Match": tags})
    assert_problem(answer, 412, "revision_mismatch")
    assert gateway.store.customers == {}


class TestStoredBeforeAFeature:
    @pytest.fixture(autouse=True)
    def _old_customer(self, gateway: FakeGateway, etag: str) -> None:
        del gateway.store.customers["C1"]["TENURE"]

    def test_can_be_read_changed_deleted_and_restored_without_it(self, gateway: FakeGateway) -> None:
        assert "TENURE" not in gateway.client.get(ONE).json
        changed = gateway.client.patch(ONE, json={"BALANCE": 1}).json
        assert (changed["BALANCE"], changed["segment_status"]) == (1, "pending")
        assert "TENURE" not in changed
        assert gateway.client.delete(ONE).status_code == 204
        restored = gateway.client.post(f"{ONE}/restore").json
        assert (restored["BALANCE"], restored["segment_status"]) == (1, "pending")
        listed = gateway.client.get(f"{CUSTOMERS}?TENURE[exists]=false").json["items"]
        assert [customer["CUST_ID"] for customer in listed] == ["C1"]

    def test_is_assigned_on_a_change_by_a_model_that_does_not_need_it(self, gateway: FakeGateway) -> None:
        gateway.model.required = tuple(name for name in REQUIRED_NAMES if name != "TENURE")
        assert gateway.client.patch(ONE, json={"BALANCE": 1}).json["segment_status"] == "assigned"
        assert gateway.client.post(f"{ONE}/segment").status_code == 200

    def test_keeps_nobody_else_from_being_assigned(self, gateway: FakeGateway) -> None:
        """That it is refused says nothing about the model service."""
        gateway.client.patch(ONE, json={"BALANCE": 1})
        assert gateway.client.post(CUSTOMERS, json=body("C2")).json["segment_status"] == "assigned"

    def test_a_patch_or_a_put_with_it_repairs_the_customer(self, gateway: FakeGateway) -> None:
        assert gateway.client.patch(ONE, json={"TENURE": 12}).json["TENURE"] == 12
        assert gateway.client.put(ONE, json=inputs(TENURE=11)).json["TENURE"] == 11


class TestOnlyNew:
    """PUT with ``If-None-Match: *`` (RFC 9110 section 13.1.2)."""

    def test_creates(self, gateway: FakeGateway) -> None:
        assert gateway.client.put(ONE, json=inputs(), headers={"If-None-Match": "*"}).status_code == 201

    def test_never_replaces(self, gateway: FakeGateway, etag: str) -> None:
        answer = gateway.client.put(ONE, json=inputs(BALANCE=9), headers={"If-None-Match": "*"})
        assert_problem(answer, 412, "customer_not_new")
        assert gateway.client.get(ONE).headers["ETag"] == etag


def test_a_body_without_length_is_counted(gateway: FakeGateway) -> None:
    """Chunked: Werkzeug would cut it off at the limit and parse what is left."""
    text = b'{"CUST_ID": "C1"}' + b" " * gateway.settings.max_body_bytes
    environ = {"wsgi.input": BytesIO(text), "wsgi.input_terminated": True, "CONTENT_TYPE": "application/json"}
    answer = gateway.client.open(CUSTOMERS, method="POST", environ_overrides=environ)
    assert_problem(answer, 413, "body_too_large")
    assert gateway.store.customers == {}
