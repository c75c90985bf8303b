"""Settings: whoever looks after the keys makes, renews and revokes them, and reads who did what."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, expect
from support.browser import Look
from support.issuer import AUDIENCE, CLIENT_ID, CLIENT_SECRET, Issuer, running_issuer
from support.servers import free_port

from tests.e2e.conftest import GRANIAN, System, wait_until

TEXT = "<b onclick=alert(1)>CRM</b>"


def _opens(base: str, key: str) -> bool:
    headers = {"Authorization": f"Bearer {key}"}
    return requests.get(f"{base}/api/v1/models", headers=headers, timeout=10).ok


def test_a_key_is_made_once_shown_once_renewed_and_revoked(look: Look, stack: System) -> None:
    page = look.open("/settings")
    look.check()
    page.get_by_role("link", name="API keys").click()
    form = page.locator("#new-key")
    form.get_by_label("Who or what uses it").fill(TEXT)
    for box in reversed(form.get_by_role("checkbox", checked=True).all()):
        box.uncheck()
    form.get_by_role("button", name="Make the key").click()
    expect(page.get_by_text("Tick at least one")).to_be_visible()
    form.get_by_label("See segments, models and alerts").check()
    form.get_by_role("button", name="Make the key").dblclick()
    expect(page.get_by_role("heading", name=f"The key “{TEXT}” has been made")).to_be_visible()
    key = page.get_by_label("The key", exact=True).input_value()
    assert _opens(stack.base, key)
    row = page.get_by_role("row").filter(has_text=TEXT)
    page.keyboard.press("Escape")
    expect(page.get_by_label("The key", exact=True)).to_be_visible()  # until it is kept
    look.check()
    page.get_by_role("button", name="I have kept it").click()
    expect(row).to_have_count(1)
    look.check()
    assert key not in page.content()
    row.get_by_role("button", name="New secret").click()
    page.get_by_role("button", name="Make a new secret").click()
    expect(page.get_by_role("heading", name="has a new secret")).to_be_visible()
    renewed = page.get_by_label("The key", exact=True).input_value()
    assert renewed != key
    assert _opens(stack.base, renewed)
    page.get_by_role("button", name="I have kept it").click()
    expect(row).to_contain_text("old secret until")
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_text(re.compile("Keys that do not work any more"))).to_be_visible()
    expect(row.get_by_role("button", name="Revoke")).to_have_count(0)  # other revoked keys may have been listed before
    assert not _opens(stack.base, renewed)


def test_who_did_what_is_found(look: Look, stack: System) -> None:
    page = look.open("/settings/audit")
    expect(page.locator("tbody")).to_contain_text("finished an import")
    look.check()
    page.get_by_text("Find what was done").click()
    page.get_by_label("What was done").select_option(label="Made an API key")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody")).to_contain_text("made an API key")
    expect(page.locator("tbody")).not_to_contain_text("finished an import")
    page.get_by_text("Details").last.click()
    look.check()
    page.get_by_role("link", name=re.compile("All about")).last.click()
    expect(page.locator("tbody tr").first).to_contain_text("API key")
    page.get_by_role("link", name="Show all").click()
    expect(page.locator("tbody")).to_contain_text("finished an import")


def test_an_address_signs_in_once(browser: Browser, stack: System) -> None:
    done = stack.run("gateway", "sign-in", "--scope", "models:read", "--name", "Ada", "--address", stack.base)
    assert done.returncode == 0, done.stderr
    address = done.stdout.strip()
    for first in (True, False):
        context = browser.new_context(base_url=stack.base)
        with Look.at(context, stack.base) as look:
            page = look.open(address)
            if first:
                expect(page.get_by_role("heading", name="Overview")).to_be_visible()
                expect(page.get_by_text("Ada")).to_be_visible()
            else:
                expect(page.get_by_role("alert")).to_contain_text("has signed somebody in before")
                look.expect("401")
                look.check()
            assert address.partition("#")[2] not in page.url
        context.close()
    assert address.partition("#")[2] not in stack.log("gateway")


@pytest.fixture
def with_issuer(stack: System) -> Iterator[tuple[System, Issuer]]:
    """A second gateway of the same system, where people sign in at an issuer."""
    with running_issuer() as issuer:
        issuer.says["scope"] = "models:read"
        port = free_port()
        oidc = {"OIDC_ISSUER": issuer.url, "OIDC_AUDIENCE": AUDIENCE}
        oidc |= {"OIDC_CLIENT_ID": CLIENT_ID, "OIDC_CLIENT_SECRET": CLIENT_SECRET}
        env = {**stack.env, **oidc, "GATEWAY_PORT": str(port)}
        second = System(stack._folder, env, port, 0, key=stack.key)
        second.start("second gateway", GRANIAN)
        try:
            wait_until(lambda: second._answers(f"{second.base}/health/ready"), "gateway ready")
            yield second, issuer
        finally:
            second.stop()


def test_people_sign_in_at_the_issuer_and_are_led_back(browser: Browser, with_issuer: tuple[System, Issuer]) -> None:
    system, issuer = with_issuer
    context: BrowserContext = browser.new_context(base_url=system.base)
    with Look.at(context, system.base) as look:
        page = look.open("/settings")
        look.check()
        page.get_by_role("link", name="Sign in with your account").click()
        expect(page.get_by_role("heading", name="Settings")).to_be_visible()
        expect(page.get_by_text("Ann Example")).to_be_visible()
        expect(page.get_by_role("link", name="API keys")).to_have_count(0)
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("link", name="Sign in with your account")).to_be_visible()
        look.wrong = [line for line in look.wrong if not line.startswith(issuer.url)]
    context.close()
