"""Conditional requests (RFC 9110 section 13, RFC 6585 section 3) and merge patches (RFC 7396, RFC 5789) over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from support.customers import body, inputs
from support.problems import assert_problem

from gateway.settings import Settings
from shared.features import CUST_ID

ONE = f"{CUSTOMERS}/C1"
WRITES: dict[str, tuple[str, str, Any]] = {
    "put": ("PUT", ONE, inputs(BALANCE=9.0)),
    "patch": ("PATCH", ONE, {"BALANCE": 9.0}),
    "delete": ("DELETE", ONE, None),
    "erase": ("DELETE", f"{ONE}?erase=true", None),
}
each_write = pytest.mark.parametrize(("method", "path", "sent"), WRITES.values(), ids=WRITES)


@pytest.fixture
def etag(gateway: FakeGateway) -> str:
    """The entity tag of a stored customer C1."""
    return gateway.client.post(CUSTOMERS, json=body()).headers["ETag"]


class TestReading:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"If-Match": "{}"}, 200),
            ({"If-Match": "*"}, 200),
            ({"If-Match": '"other"'}, 412),
            ({"If-Match": "W/{}"}, 412),
            ({"If-None-Match": "{}"}, 304),
            ({"If-None-Match": "W/{}"}, 304),
            ({"If-None-Match": "*"}, 304),
            ({"If-None-Match": '"other"'}, 200),
            ({"If-Match": "{}", "If-None-Match": "{}"}, 304),
            ({"If-Match": '"other"', "If-None-Match": "{}"}, 412),
            ({"If-Unmodified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}, 200),
            ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 200),
        ],
        ids=lambda value: str(value).replace(" ", "") if isinstance(value, dict) else None,
    )
    def test_of_a_customer(
        self, gateway: FakeGateway, etag: str, method: str, headers: dict[str, str], status: int
    ) -> None:
        answer = gateway.client.open(ONE, method=method, headers={n: v.format(etag) for n, v in headers.items()})
        assert answer.status_code == status
        assert status == 412 or answer.headers["ETag"] == etag

    def test_of_nobody_is_not_found_whatever_is_expected(self, gateway: FakeGateway) -> None:
        assert_problem(gateway.client.get(ONE, headers={"If-Match": "*"}), 404, "customer_not_found")

    def test_the_etag_is_strong(self, etag: str) -> None:
        assert etag[0] == etag[-1] == '"'


@each_write
class TestTheReason:
    def test_a_weak_tag_of_the_right_state_is_named_as_such(
        self, gateway: FakeGateway, etag: str, method: str, path: str, sent: Any
    ) -> None:
        for tags in (f"W/{etag}", f'"other", W/{etag}', f'W/"other", W/{etag}'):
            answer = gateway.client.open(path, method=method, json=sent, headers={"If-Match": tags})
            detail = assert_problem(answer, 412, "revision_mismatch")["detail"]
            assert "weak" in detail
            assert "proxy" in detail
            assert "no longer" not in detail
        assert gateway.client.get(ONE).headers["ETag"] == etag

    def test_a_weak_tag_of_another_state_has_changed(
        self, gateway: FakeGateway, etag: str, method: str, path: str, sent: Any
    ) -> None:
        answer = gateway.client.open(path, method=method, json=sent, headers={"If-Match": 'W/"other"'})
        assert "no longer has" in assert_problem(answer, 412, "revision_mismatch")["detail"]
        assert gateway.client.get(ONE).headers["ETag"] == etag

    def test_what_names_no_tag_is_told_so(
        self, gateway: FakeGateway, etag: str, method: str, path: str, sent: Any
    ) -> None:
        for tags in ("", ",", etag[:-1], f"{etag};", f"{etag} {etag}"):
            answer = gateway.client.open(path, method=method, json=sent, headers={"If-Match": tags})
            detail = assert_problem(answer, 412, "revision_mismatch")["detail"]
            assert "names no revision" in detail
            assert "no longer" not in detail
        assert gateway.client.get(ONE).headers["ETag"] == etag


@pytest.mark.parametrize("tags", ["*", '"other"', 'W/"other"'])
def test_of_a_customer_that_is_not_there_nothing_has_changed(gateway: FakeGateway, tags: str) -> None:
    put = gateway.client.put(ONE, json=inputs(), headers={"If-Match": tags})
    erased = gateway.client.delete(f"{ONE}?erase=true", headers={"If-Match": tags})
    rows = [{**body("C1"), "if_revision": "other"}]
    (row,) = gateway.client.post(f"{CUSTOMERS}/batch", json={"customers": rows}).get_json()["results"]
    for problem in (*(assert_problem(answer, 412, "revision_mismatch") for answer in (put, erased)), row["error"]):
        assert (problem["status"], problem["code"]) == (412, "revision_mismatch")
        assert "does not exist" in problem["detail"]
        assert "no longer" not in problem["detail"]


def test_a_weak_tag_is_named_when_reading_too(gateway: FakeGateway, etag: str) -> None:
    answer = gateway.client.get(ONE, headers={"If-Match": f"W/{etag}"})
    assert "weak" in assert_problem(answer, 412, "revision_mismatch")["detail"]


@each_write
class TestIfNoneMatch:
    @pytest.mark.parametrize("tags", ["{}", "W/{}", "*", '"other", {}'])
    def test_a_state_that_is_ruled_out_is_left_alone(
        self, gateway: FakeGateway, etag: str, method: str, path: str, sent: Any, tags: str
    ) -> None:
        answer = gateway.client.open(path, method=method, json=sent, headers={"If-None-Match": tags.format(etag)})
        assert_problem(answer, 412, "customer_not_new")
        assert gateway.client.get(ONE).headers["ETag"] == etag

    def test_another_state_is_written(self, gateway: FakeGateway, etag: str, method: str, path: str, sent: Any) -> None:
        answer = gateway.client.open(path, method=method, json=sent, headers={"If-None-Match": '"other"'})
        assert answer.status_code in (200, 204)


def test_a_create_may_say_that_the_customer_must_be_new(gateway: FakeGateway) -> None:
    assert gateway.client.post(CUSTOMERS, json=body(), headers={"If-None-Match": "*"}).status_code == 201
    answer = gateway.client.post(CUSTOMERS, json=body(), headers={"If-None-Match": "*"})
    assert_problem(answer, 409, "customer_exists")


class TestRequired:
    """With REQUIRE_IF_MATCH."""

    @pytest.fixture
    def gateway(self) -> FakeGateway:
        return FakeGateway(settings=Settings(require_if_match=True))

    @each_write
    def test_a_stored_customer_changes_only_by_who_knows_its_revision(
        self, gateway: FakeGateway, etag: str, method: str, path: str, sent: Any
    ) -> None:
        answer = gateway.client.open(path, method=method, json=sent)
        assert "If-Match" in assert_problem(answer, 428, "precondition_required")["detail"]
        stale = gateway.client.open(path, method=method, json=sent, headers={"If-Match": '"older"'})
        assert_problem(stale, 412, "revision_mismatch")
        assert gateway.client.get(ONE).headers["ETag"] == etag
        done = gateway.client.open(path, method=method, json=sent, headers={"If-Match": etag})
        assert done.status_code in (200, 204)

    @each_write
    def test_none_match_does_not_stand_in_for_match(
        self, gateway: FakeGateway, etag: str, method: str, path: str, sent: Any
    ) -> None:
        answer = gateway.client.open(path, method=method, json=sent, headers={"If-None-Match": '"other"'})
        assert_problem(answer, 428, "precondition_required")

    @pytest.mark.parametrize("headers", [{}, {"If-None-Match": "*"}], ids=["plain", "only-new"])
    def test_creating_needs_none(self, gateway: FakeGateway, headers: dict[str, str]) -> None:
        assert gateway.client.put(ONE, json=inputs(), headers=headers).status_code == 201
        assert gateway.client.post(CUSTOMERS, json=body("C2")).status_code == 201

    def test_of_nobody_is_still_not_found(self, gateway: FakeGateway) -> None:
        assert_problem(gateway.client.patch(ONE, json={}), 404, "customer_not_found")
        assert_problem(gateway.client.delete(ONE), 404, "customer_not_found")

    def test_restoring_and_erasing_who_is_deleted_need_none(self, gateway: FakeGateway, etag: str) -> None:
        gateway.client.delete(ONE, headers={"If-Match": etag})
        etag = gateway.client.post(f"{ONE}/restore").headers["ETag"]
        gateway.client.delete(ONE, headers={"If-Match": etag})
        assert gateway.client.delete(f"{ONE}?erase=true").json["erased"]["deleted_customers"] == 1


class TestMergePatch:
    @pytest.mark.parametrize("text", ["[]", "null", '"BALANCE"', "1", "true", '[{"BALANCE": 1}]'])
    def test_a_patch_that_is_no_object_is_refused(self, gateway: FakeGateway, etag: str, text: str) -> None:
        answer = gateway.send("PATCH", ONE, text, "application/merge-patch+json")
        assert_problem(answer, 422, "validation_failed", [""])

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [({CUST_ID: None}, f"/{CUST_ID}"), ({"BALANCE": None}, "/BALANCE"), ({"BALANCE": {"x": None}}, "/BALANCE")],
        ids=["id", "required", "nested"],
    )
    def test_what_cannot_be_null_is_refused(
        self, gateway: FakeGateway, etag: str, changes: dict[str, Any], pointer: str
    ) -> None:
        assert_problem(gateway.client.patch(ONE, json=changes), 422, "validation_failed", [pointer])

    def test_null_clears_what_may_be_missing(self, gateway: FakeGateway, etag: str) -> None:
        assert gateway.client.patch(ONE, json={"MINIMUM_PAYMENTS": None}).json["MINIMUM_PAYMENTS"] is None

    @pytest.mark.parametrize("value", [None, 3.5])
    def test_the_derived_feature_is_computed_whatever_is_sent(
        self, gateway: FakeGateway, etag: str, value: float | None
    ) -> None:
        before = gateway.client.get(ONE).json["AVERAGE_PURCHASE_TRX"]
        answer = gateway.client.patch(ONE, json={"AVERAGE_PURCHASE_TRX": value})
        assert (answer.status_code, answer.json["AVERAGE_PURCHASE_TRX"], answer.headers["ETag"]) == (200, before, etag)

    @pytest.mark.parametrize("content_type", ["application/json-patch+json", "text/plain", ""])
    def test_another_media_type_is_told_which_would_do(
        self, gateway: FakeGateway, etag: str, content_type: str
    ) -> None:
        answer = gateway.send("PATCH", ONE, "{}", content_type)
        assert_problem(answer, 415, "unsupported_media_type")
        assert answer.headers["Accept-Patch"] == "application/merge-patch+json, application/json"

    def test_other_methods_say_so_in_accept(self, gateway: FakeGateway) -> None:
        answer = gateway.send("PUT", ONE, "{}", "text/plain")
        assert_problem(answer, 415, "unsupported_media_type")
        assert answer.headers["Accept"] == "application/json"
