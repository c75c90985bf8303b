"""Answers get lost on the way, and sessions change beside an open page: nothing is done twice, or as another."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect
from support.browser import Look

from tests.conftest import SAMPLE_CSV
from tests.e2e.conftest import System


def lose_the_first_answer(page: Page, address: str) -> None:
    """Let the service do what it is told, and break the connection before the browser hears of it."""

    def lose(route: Route) -> None:
        route.fetch()
        route.abort("connectionreset")

    page.route(re.compile(address), lose, times=1)


def slow_down(page: Page) -> None:
    """Give the page a line such as a phone has at the edge of a town: 50 kB/s down, 20 kB/s up, 0.4 s each way."""
    line = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 20_000}
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", line)


@pytest.fixture
def names(stack: System) -> Iterator[list[str]]:
    """Names of keys that are revoked afterwards."""
    names: list[str] = []
    yield names
    for key in keys_of(stack):
        if key["name"] in names:
            stack.http.delete(f"{stack.base}/api/v1/api-keys/{key['id']}", timeout=10)


def keys_of(stack: System) -> list[dict[str, str]]:
    return list(stack.http.get(f"{stack.base}/api/v1/api-keys?limit=500", timeout=10).json()["items"])


def test_a_key_whose_answer_gets_lost_is_made_once(look: Look, stack: System, names: list[str]) -> None:
    names.append("lost")
    page = look.open("/settings/keys")
    lose_the_first_answer(page, "/api/v1/api-keys$")
    form = page.locator("#new-key")
    form.get_by_label("Who or what uses it").fill("lost")
    form.get_by_role("button", name="Make the key").click()
    expect(page.get_by_text("The service cannot be reached. It may have been made")).to_be_visible()
    form.get_by_role("button", name="Make the key").click()
    expect(page.get_by_text("its secret got lost on the way")).to_be_visible()
    assert [key["name"] for key in keys_of(stack)].count("lost") == 1
    look.expect("ERR_CONNECTION_RESET")


def test_a_file_whose_answer_gets_lost_is_taken_once_and_under_a_token_of_now(look: Look, stack: System) -> None:
    def imports() -> int:
        return len(stack.http.get(f"{stack.base}/api/v1/imports?limit=100", timeout=10).json()["items"])

    page, before = look.open("/imports"), imports()
    some = "".join(SAMPLE_CSV.read_text().splitlines(keepends=True)[:20]).encode()
    page.locator("input[type=file]").set_input_files({"name": "some.csv", "mimeType": "text/csv", "buffer": some})
    page.evaluate("document.documentElement.dataset.csrfToken = 'of a session before'")
    page.locator("#check").click()
    expect(page.locator("#go-said")).to_contain_text("Nothing has been written yet")
    assert imports() == before + 1
    lose_the_first_answer(page, "/api/v1/imports[?]")
    page.locator("#check").click()
    expect(page.get_by_text("The connection broke before the file had arrived")).to_be_visible()
    page.locator("#check").click()
    expect(page.locator("#go-said")).to_contain_text("Nothing has been written yet")
    assert imports() == before + 2
    look.expect("ERR_CONNECTION_RESET", "403")


def test_an_open_page_goes_on_in_nobody_elses_name(look: Look, stack: System, names: list[str]) -> None:
    json = {"name": "somebody else", "scopes": ["admin", "models:read"]}
    key = stack.http.post(f"{stack.base}/api/v1/api-keys", json=json, timeout=10).json()["key"]
    names += ["somebody else", "typed"]
    page = look.open("/settings/keys")
    field = page.locator("#new-key").get_by_label("Who or what uses it")
    field.fill("typed")
    assert page.context.request.post(f"{stack.base}/sign-in", form={"key": key}).ok
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_text("Somebody else has signed in in this browser")).to_be_visible()
    expect(field).to_have_value("typed")
    assert "typed" not in [each["name"] for each in keys_of(stack)]
    look.expect("403")


def test_on_a_slow_line_pages_come_at_once_and_hold_still(look: Look) -> None:
    slow_down(look.page)
    for address in ("/overview", "/customers", "/segments"):
        look.page.goto(address, wait_until="domcontentloaded")  # what it says needs no script
        expect(look.page.get_by_role("heading", level=1)).to_be_visible()
        look.page.wait_for_load_state("networkidle")
        look.check()


def test_on_a_slow_line_a_file_is_seen_moving_and_can_be_stopped(look: Look) -> None:
    page = look.open("/imports")
    slow_down(page)
    page.locator("input[type=file]").set_input_files(SAMPLE_CSV)
    page.locator("#check").click()
    expect(page.locator("#bar")).to_be_visible()
    expect(page.locator("#bar")).not_to_have_js_property("value", 0)
    page.get_by_role("button", name="Cancel").dblclick()
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#check")).not_to_have_attribute("aria-disabled", "true")


def test_on_a_slow_line_a_key_is_made_once(look: Look, stack: System, names: list[str]) -> None:
    names.append("slow")
    page = look.open("/settings/keys")
    slow_down(page)
    form = page.locator("#new-key")
    form.get_by_label("Who or what uses it").fill("slow")
    make = form.get_by_role("button", name="Make the key")
    make.dblclick()
    expect(make).to_have_attribute("aria-disabled", "true")
    make.click(force=True)
    expect(page.get_by_role("dialog")).to_be_visible()
    assert [key["name"] for key in keys_of(stack)].count("slow") == 1
