"""The one assertion about failed requests: every error of the gateway is the same kind of body."""

from __future__ import annotations

from typing import Any

from werkzeug.test import TestResponse

from shared.problems import MEDIA_TYPE, REQUEST_ID_HEADER

MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}


def assert_problem(response: TestResponse, status: int, code: str, pointers: list[str] | None = None) -> dict[str, Any]:
    """Assert that the answer is this problem, blaming exactly the fields at `pointers`; return its body."""
    assert response.status_code == status, response.text
    assert response.content_type == MEDIA_TYPE
    body = response.get_json(force=True)
    assert set(body) - {"errors", "earliest"} == MEMBERS
    assert (body["status"], body["code"]) == (status, code), body
    assert body["type"] == f"urn:customer-segmentation:problem:{code}"
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == response.headers[REQUEST_ID_HEADER] != ""
    assert sorted(e["pointer"] for e in body.get("errors", [])) == sorted(pointers or [])
    assert all(e["detail"] for e in body.get("errors", []))
    _assert_tells_nothing_inward(response.text)
    return body


def _assert_tells_nothing_inward(text: str) -> None:
    for leak in ("Traceback", 'File "', 'File \\"', ".py", "site-packages", "pymongo", "urllib3", "127.0.0.1"):
        assert leak not in text
