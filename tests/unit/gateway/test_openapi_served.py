"""The document and the page that shows it: public, cached, and nothing of either comes from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import orjson
import pytest
from fakes.gateway import FakeGateway
from support.problems import assert_problem

from gateway.controllers.service import FILES


class References(HTMLParser):
    """What a page refers to, and whether it has scripts or styles in itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.addresses += [given[name] or "" for name in ("src", "href", "action") if name in given]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style") and data.strip():
            self.inline.append(data)


def test_anybody_may_read_the_document(gateway: FakeGateway) -> None:
    answer = gateway.anonymous.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert orjson.loads(answer.data)["paths"]


def test_the_document_leads_to_the_one_of_the_model_service(gateway: FakeGateway) -> None:
    address = gateway.client.get("/openapi.json").get_json()["externalDocs"]["url"]
    answer = gateway.anonymous.get(address)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.get_json()["openapi"]


def test_a_copy_of_the_document_is_checked_and_not_sent_again(gateway: FakeGateway) -> None:
    first = gateway.client.get("/openapi.json")
    again = gateway.client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "max-age=" in first.headers["Cache-Control"]
    assert gateway.client.get("/openapi.json", headers={"If-None-Match": '"other"'}).status_code == 200


def test_two_processes_say_the_same() -> None:
    """Or a client behind a load balancer would load it again and again."""
    tags = {FakeGateway().client.get("/openapi.json").headers["ETag"] for _ in range(2)}
    assert len(tags) == 1


def test_the_document_is_made_once(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    first = gateway.client.get("/openapi.json").data
    monkeypatch.setattr("gateway.openapi.document.described", lambda _: pytest.fail("made again"))
    assert gateway.client.get("/openapi.json").data == first


def test_the_page_loads_nothing_from_elsewhere_and_all_of_it_is_there(gateway: FakeGateway) -> None:
    page = gateway.anonymous.get("/docs")
    assert page.content_type == "text/html; charset=utf-8"
    references = References(page.text)
    assert references.inline == []
    assert set(references.addresses) == {f"docs/{file}" for file in FILES}
    for address in references.addresses:
        assert gateway.anonymous.get(f"/{address}").status_code == 200


def test_the_page_shows_this_document_and_asks_no_validator_elsewhere(gateway: FakeGateway) -> None:
    script = gateway.client.get("/docs/start.js").text
    assert 'new URL("openapi.json", location.href)' in script
    assert "validatorUrl: null" in script
    assert "http" not in script


def test_the_policy_lets_a_browser_load_from_here_alone(gateway: FakeGateway) -> None:
    policy = dict(
        part.split(maxsplit=1) for part in gateway.client.get("/docs").headers["Content-Security-Policy"].split("; ")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert not re.search(r"https?:|\*", " ".join(policy.values()))


@pytest.mark.parametrize(("file", "kind"), sorted(FILES.items()))
def test_a_file_of_the_page_has_its_type_and_is_cached(file: str, kind: str, gateway: FakeGateway) -> None:
    first = gateway.client.get(f"/docs/{file}")
    assert first.mimetype == kind
    assert "max-age=86400" in first.headers["Cache-Control"]
    again = gateway.client.get(f"/docs/{file}", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("file", ["swagger-ui.js", "..%2f__init__.py", "LICENSE", ""])
def test_no_other_file_of_the_package_can_be_had(file: str, gateway: FakeGateway) -> None:
    assert_problem(gateway.client.get(f"/docs/{file}"), 404, "not_found")
