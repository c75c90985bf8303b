"""Tier 2 answers the gateway alone, and inference clients where they have a secret of their own."""

from __future__ import annotations

import pytest
from asgi_client import KEY, AsgiClient, assert_problem

from model_service.api.middleware import OPEN
from shared.contract import ACTIVE_MODEL, PREDICT, READY

SECRET = KEY["authorization"].removeprefix("Bearer ")
CLOSED = [("POST", PREDICT), ("GET", ACTIVE_MODEL), ("GET", "/v2"), ("GET", "/nowhere"), ("DELETE", "/v1/models/x")]


@pytest.mark.parametrize(("method", "path"), CLOSED)
@pytest.mark.parametrize(
    "shown",
    ["", SECRET, f"Basic {SECRET}", "Bearer", "Bearer ", f"Bearer {SECRET[:-1]}", f"Bearer {SECRET}x", "Bearer ü"],
    ids=["nothing", "no scheme", "another scheme", "no secret", "empty", "a part", "more", "no ASCII"],
)
def test_whoever_does_not_show_the_secret_is_refused(client: AsgiClient, method: str, path: str, shown: str) -> None:
    answer = client.request(method, path, b"{}", {"authorization": shown, "content-type": "application/json"})
    body = assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="model-service"'
    assert SECRET not in str(body)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_secret_opens_in_any_case_of_its_scheme(client: AsgiClient, scheme: str) -> None:
    assert client.get(ACTIVE_MODEL, authorization=f"{scheme} {SECRET}").status == 200


@pytest.mark.parametrize("path", sorted(OPEN))
def test_whoever_watches_the_service_needs_no_secret(client: AsgiClient, path: str) -> None:
    assert client.get(path, authorization="").status == 200


@pytest.mark.parametrize("path", [f"/{READY}", f"{READY}/", "/openapi.json/"])
def test_an_address_that_only_looks_like_an_open_one_is_closed(client: AsgiClient, path: str) -> None:
    assert_problem(client.get(path, authorization=""), 401, "unauthenticated")


def test_the_openapi_text_says_what_needs_the_secret(client: AsgiClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["security"] == [{"gateway": []}]
    assert document["components"]["securitySchemes"]["gateway"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for operation in operations.values():
            closed = [{"gateway": []}, {"inference": []}] if path.partition("/v2")[:2] == ("", "/v2") else None
            assert ("401" in operation["responses"], operation.get("security")) == (
                (False, []) if path in OPEN else (True, closed)
            )


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/models/rollback", "POST"),
        ("DELETE", "/v1/models", "GET, POST"),
        ("PUT", "/v1/segments/x", "GET, PATCH"),
    ],
)
def test_a_wrong_method_names_all_right_ones(client: AsgiClient, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path, None)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


INFERENCE = "u8Rz5KnWy3PsVd7QxGt4BmLc9JhFe2Ta"
LOOKALIKES = ["/v2x", "/V2", "/v20/models", "/v1/v2", "/v2%2f..%2fv1/models", "//v2", "/v1/models/v2"]


def refused(client: AsgiClient, method: str, path: str, shown: str) -> bool:
    given = {"authorization": shown, "content-type": "application/json"}
    answer = client.request(method, path, b"{}" if method in ("POST", "PATCH") else None, given)
    return answer.status == 401


def test_each_secret_opens_what_it_is_for(connect, tiny) -> None:
    """All that the document has, and addresses that only look like it, by each secret."""
    client = connect(model_store=tiny.store, model_inference_secret=INFERENCE)
    operations = client.get("/openapi.json").json()["paths"]
    asked = [(method.upper(), path) for path, methods in operations.items() for method in methods]
    assert len({path for _, path in asked if path.startswith("/v2")}) > 6
    for method, path in [*asked, *(("GET", path) for path in LOOKALIKES)]:
        address = path.replace("{name}", "customer-segmentation").replace("{version}", "active").replace("{file}", "x")
        inference, opened = path == "/v2" or path.startswith("/v2/"), path in OPEN
        assert not refused(client, method, address, f"Bearer {SECRET}"), path
        for shown, opens in (
            (f"Bearer {INFERENCE}", inference or opened),
            (f"bearer  {INFERENCE}", inference or opened),
            (f"Bearer {INFERENCE}x", opened),
            (f"Bearer {INFERENCE[:-1]}", opened),
            (f"Basic {INFERENCE}", opened),
            ("", opened),
        ):
            assert refused(client, method, address, shown) is not opens, (method, path, shown)


@pytest.mark.parametrize("shown", ["Bearer ", "Bearer None", "Bearer", f"Bearer {INFERENCE}"])
def test_without_a_secret_of_their_own_inference_clients_are_refused(client: AsgiClient, shown: str) -> None:
    assert refused(client, "GET", "/v2", shown)
