"""The error body and the request id."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from shared.problems import FieldError, code_of, problem, request_id


def test_a_problem_has_the_members_of_rfc_9457_and_ours() -> None:
    assert problem(404, "customer_not_found", "there is none", "r1") == {
        "type": "urn:customer-segmentation:problem:customer_not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "there is none",
        "code": "customer_not_found",
        "request_id": "r1",
    }


def test_errors_are_there_only_when_there_are_any() -> None:
    error = FieldError(pointer="/BALANCE", detail="is missing")
    assert problem(422, "validation_failed", "no", errors=[error])["errors"] == [error]
    assert "errors" not in problem(422, "validation_failed", "no", errors=[])


@pytest.mark.parametrize("status", [s for s in HTTPStatus if s >= 400])
def test_every_status_has_a_code_for_programs(status: HTTPStatus) -> None:
    assert code_of(status).replace("_", "").isalnum()
    assert code_of(status) == code_of(status).lower()
    assert problem(status, code_of(status), "x")["title"]


def test_codes_differ() -> None:
    assert len({code_of(status) for status in HTTPStatus}) == len(HTTPStatus)


def test_codes_of_plain_statuses() -> None:
    assert (code_of(404), code_of(405)) == ("not_found", "method_not_allowed")
    assert code_of(418) == "http_418"


@pytest.mark.parametrize("received", ["a", "A-b_c.d:1", "x" * 128])
def test_a_harmless_request_id_is_kept(received: str) -> None:
    assert request_id(received) == received


@pytest.mark.parametrize("received", [None, "", "a b", "a\nb", "a\r\nSet-Cookie: x", "ä", "x" * 129, '"', "<b>"])
def test_another_request_id_is_replaced(received: str | None) -> None:
    made = request_id(received)
    assert made != received
    assert made != request_id(received)
    assert request_id(made) == made
