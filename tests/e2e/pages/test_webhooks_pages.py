"""Webhooks in a browser: added with a secret that is shown once, tested, sent again, paused; answers are texts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Page, expect
from support.browser import Look
from support.scripted_server import Script, ScriptedServer, always, http, serving

from tests.e2e.conftest import System

EVIL = "<script>document.title = 'owned'</script><b>no</b>"


@pytest.fixture
def receiver() -> Iterator[ScriptedServer]:
    """A system that does not take the first message that it is sent, and takes all others."""
    refuse, take = always(http(EVIL, "500 Broken"), keep_open=False), always(http("", "204 No Content"), False)

    def script(server: ScriptedServer, *about: object) -> bool:
        answer: Script = refuse if len(server.requests) == 1 else take
        return answer(server, *about)  # type: ignore[arg-type]

    with serving(script) as server:
        yield server


@pytest.fixture(autouse=True)
def none_left(stack: System) -> Iterator[None]:
    """What was added is removed afterwards: the stack is everybody's."""
    yield
    for webhook in stack.http.get(f"{stack.base}/api/v1/webhooks", timeout=10).json()["items"]:
        stack.http.delete(f"{stack.base}/api/v1/webhooks/{webhook['id']}", timeout=10)


def add(page: Page, url: str, name: str) -> str:
    page.get_by_label("System").fill(name)
    page.get_by_label("Address").fill(url)
    page.get_by_label("A customer was deleted").check()
    page.get_by_role("button", name="Add the webhook").dblclick()
    secret = page.get_by_label("The secret")
    expect(secret).to_have_value(re.compile("^whsec_.{40}"))
    return secret.input_value()


def test_a_webhook_is_added_tested_and_sends_again(look: Look, receiver: ScriptedServer, stack: System) -> None:
    page = look.open("/settings/webhooks")
    look.check()
    add(page, f"{receiver.url}/hooks", EVIL)
    page.get_by_role("button", name="I have kept it").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(EVIL)
    look.open("/settings/webhooks")
    expect(page.get_by_role("heading", name="Add a webhook")).to_be_visible()
    page.get_by_role("row").filter(has_text=EVIL).get_by_role("link").click()
    page.get_by_role("button", name="Send a test").dblclick()
    expect(page.get_by_text("It was not taken: 500 Broken")).to_be_visible(timeout=20_000)
    page.get_by_text("What was answered").click()
    expect(page.get_by_text(EVIL).last).to_be_visible()
    assert page.title() != "owned"
    look.check()
    page.get_by_role("button", name="Send again: A test").click()
    expect(page.get_by_text("It was sent and taken: 204 No Content")).to_be_visible(timeout=20_000)
    assert len(receiver.requests) == 2, "a double click sends one"
    assert len(stack.http.get(f"{stack.base}/api/v1/webhooks", timeout=10).json()["items"]) == 1


def test_it_is_changed_paused_and_deleted(look: Look, receiver: ScriptedServer) -> None:
    page = look.open("/settings/webhooks")
    first = add(page, f"{receiver.url}/hooks", "CRM")
    page.get_by_role("button", name="I have kept it").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Messages wait, and are sent in their order")).to_be_visible()
    page.get_by_role("button", name="New secret").click()
    page.get_by_role("button", name="Make a new secret").click()
    expect(page.get_by_label("The secret")).to_have_value(re.compile("^whsec_"))
    assert page.get_by_label("The secret").input_value() != first
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.evaluate("() => location.assign('/settings')")
    expect(page.get_by_label("The secret")).to_be_visible()
    assert asked == ["beforeunload"], "it would be gone"
    page.get_by_role("button", name="I have kept it").click()
    expect(page.get_by_label("The secret")).to_be_hidden()
    page.get_by_label("System").fill("CRM of the branches")
    page.get_by_label("Address").fill("http://10.1.2.3/inside")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("must not be an address that deliveries may not go to")).to_be_visible()
    look.expect("422")
    expect(page.get_by_label("System")).to_have_value("CRM of the branches")
    page.get_by_label("Address").fill(f"{receiver.url}/other")
    page.get_by_label("Everything", exact=True).check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="CRM of the branches")).to_be_visible()
    expect(page.locator("dl")).to_contain_text("everything")
    page.get_by_label("Nothing: pass over what waits").check()
    page.get_by_role("button", name="Begin there").click()
    page.get_by_role("dialog").get_by_role("button", name="Begin there").click()
    expect(page.get_by_text("It goes on from there.")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("heading", name="Add the first webhook")).to_be_visible()


def test_one_that_is_gone_meanwhile_says_so(look: Look, receiver: ScriptedServer, stack: System) -> None:
    made: requests.Response = stack.http.post(
        f"{stack.base}/api/v1/webhooks", json={"url": receiver.url, "description": "CRM"}, timeout=10
    )
    address = f"/settings/webhooks/{made.json()['id']}"
    page = look.open(address)
    stack.http.delete(f"{stack.base}/api/v1/webhooks/{made.json()['id']}", timeout=10)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("There is no webhook")).to_be_visible()
    look.expect("404")
