"""Who looks at the segments reads who they are and how they differ, and says what to do about them."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from contracts.customers import assignment
from fakes.gateway import FakeGateway
from playwright.sync_api import Browser, Page, expect
from support.browser import Look, signed_in
from support.customers import stored
from support.sessions import ADMIN_KEY
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.e2e.conftest import System

UNLABELLED = {"name": None, "description": None, "owner": None, "actions": None}


class Segment:
    """The smallest segment, over the API."""

    def __init__(self, stack: System) -> None:
        self._http, self._api = stack.http, f"{stack.base}/api/v1/segments"
        self.id = min(self.answer("GET", "")["items"], key=lambda each: each["size"])["id"]

    def read(self) -> Any:
        return self.answer("GET", f"/{self.id}")

    def label(self, **changes: Any) -> Any:
        return self.answer("PATCH", f"/{self.id}", json=changes)

    def answer(self, method: str, path: str, **more: Any) -> Any:
        answer = self._http.request(method, f"{self._api}{path}", timeout=20, **more)
        assert answer.ok, answer.text
        return answer.json()


@pytest.fixture
def segment(stack: System) -> Iterator[Segment]:
    """A segment that a test may label."""
    segment = Segment(stack)
    yield segment
    segment.label(**UNLABELLED)


def edited(look: Look, segment: Segment) -> Page:
    page = look.open(f"/segments/{segment.id}")
    page.get_by_role("link", name="Edit").click()
    expect(page.get_by_label("Name")).to_be_focused()
    return page


def test_the_cards_lead_to_one_segment_and_to_a_comparison(look: Look, segment: Segment) -> None:
    page = look.open("/segments")
    name = segment.read()["name"]
    card = page.get_by_role("article", name=name)
    expect(card).to_contain_text("Compared with the average customer, they")
    expect(card).to_contain_text("What to do")
    look.check()
    card.get_by_role("link", name="with all customers").click()
    expect(page.get_by_role("heading", name="What differs most")).to_be_visible()
    page.get_by_label("with", exact=True).select_option(index=1)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("row", name="Customers", exact=False).first).to_be_visible()
    look.page.wait_for_load_state("networkidle")
    look.check()


def test_one_segment_says_who_came_and_went_when_the_rest_is_there(look: Look, segment: Segment) -> None:
    page = look.open(f"/segments/{segment.id}")
    expect(page.get_by_role("heading", name="Came: ")).to_be_visible()
    expect(page.get_by_role("heading", name="How to recognise them")).to_be_visible()
    look.check()
    expect(page.get_by_text("Customers and money as counted")).to_be_visible()
    sheets = re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True))
    assert len(sheets) == 2
    page.get_by_role("link", name="Last 7 days").click()
    expect(page.get_by_role("link", name="Last 7 days")).to_have_attribute("aria-current", "true")
    assert page.url.endswith(f"/segments/{segment.id}"), "the page has stayed"
    page.route("**/moves*", lambda route: route.abort())
    page.get_by_role("link", name="Last 30 days").click()
    expect(page.get_by_text("cannot be read at the moment")).to_be_visible()
    look.expect("ERR_FAILED")


class Silent(WSGIRequestHandler):
    """Logs no requests: werkzeug's lines have query strings, which no log may hold."""

    def log_request(self, *_: Any) -> None:
        """Leave it to the gateway."""


def test_where_counting_takes_long_the_page_comes_at_once_and_is_filled_in(browser: Browser) -> None:
    gateway = FakeGateway()
    gateway.store.insert_many([stored("C1", assignment())])
    gateway.count_segments()
    gateway.transitions.takes = 3.0

    def app(environ: Any, start: Any) -> Any:
        # Unlike the gateway's servers, this one lets a request be read beyond its end, and that waits.
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        return gateway.app(environ, start)

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        base = f"http://127.0.0.1:{server.port}"
        with signed_in(browser, base, ADMIN_KEY) as context, Look.at(context, base) as look:
            page = look.open("/segments/seg-01/moves?period=week")
            expect(page.get_by_role("heading", name="Came: ")).to_be_visible()
            expect(page.get_by_text("counting them takes some seconds")).to_be_hidden()
            page.get_by_role("link", name="Last 30 days").click()
            expect(page.get_by_role("link", name="Last 30 days")).to_have_attribute("aria-current", "true")
            assert page.url.endswith("?period=week"), "the page has stayed"
            look.check()
    finally:
        server.shutdown()


def test_what_people_say_is_saved_once_and_what_is_emptied_comes_back(look: Look, segment: Segment) -> None:
    page = edited(look, segment)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "PATCH" else None)
    page.get_by_label("Name").fill("The quiet ones")
    page.get_by_label("What to do, one on each line").fill("Write to them\n\n  Call them ")
    look.check()
    page.get_by_role("button", name="Save").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("The quiet ones")
    expect(page.get_by_role("heading", level=1)).to_be_in_viewport()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert len(sent) == 1
    found = segment.read()
    assert found["actions"] == ["Write to them", "Call them"]
    assert found["description"] is None, "what was not touched is not sent"
    page.get_by_text("Edit name, description").click()
    for label in ("Name", "What to do, one on each line"):
        page.get_by_label(label).fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(found["derived_name"])
    assert segment.read()["actions"] == found["derived_actions"]


def test_what_is_wrong_is_said_beside_it_and_nothing_typed_is_lost(look: Look, segment: Segment) -> None:
    other = next(each["name"] for each in segment.answer("GET", "")["items"] if each["id"] != segment.id)
    page = edited(look, segment)
    page.get_by_label("Name").fill(other)
    page.get_by_label("Owner").fill("Ann")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#name-fault")).to_contain_text("already has the name")
    expect(page.get_by_label("Name")).to_be_focused()
    look.expect("409")
    look.check()
    page.route("**/api/v1/segments/*", lambda route: route.abort())
    page.get_by_label("Name").fill("Another name")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("cannot be reached")).to_be_visible()
    expect(page.get_by_label("Owner")).to_have_value("Ann")
    look.expect("ERR_FAILED")


def test_who_edits_at_the_same_time_is_asked_before_anything_is_overwritten(look: Look, segment: Segment) -> None:
    page = edited(look, segment)
    segment.label(owner="<img src=x onerror=alert(1)>", description="Theirs", by="Ben")
    page.get_by_label("Owner").fill("Ann")
    page.get_by_role("button", name="Save").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("By Ben. Owner is now: <img src=x onerror=alert(1)>. You have typed: Ann.")
    look.check()
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Owner")).to_have_value("Ann")
    assert segment.read()["owner"] != "Ann"
    page.get_by_role("button", name="Save").click()
    dialog.get_by_role("button", name="Save mine instead").click()
    expect(page.get_by_text("Owner: Ann")).to_be_visible()
    found = segment.read()
    assert (found["owner"], found["description"]) == ("Ann", "Theirs")
    look.expect("409")


def test_edits_of_different_things_do_not_get_in_each_others_way(look: Look, segment: Segment) -> None:
    page = edited(look, segment)
    segment.label(description="Theirs")
    page.get_by_label("Owner").fill("Ann")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Owner: Ann")).to_be_visible()
    expect(page.get_by_text("Theirs").first).to_be_visible()
    look.expect("409")
