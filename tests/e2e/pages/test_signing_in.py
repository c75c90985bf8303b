"""Who opens the gateway's address in a browser signs in and sees the customers."""

from __future__ import annotations

from playwright.sync_api import Browser, expect
from support.browser import Look

from tests.e2e.conftest import System


def test_signing_in_leads_to_the_page_that_was_asked_for(browser: Browser, stack: System) -> None:
    context = browser.new_context(base_url=stack.base)
    with Look.at(context, stack.base) as look:
        page = look.open("/")
        expect(page).to_have_title("Sign in – Customer segments")
        look.check()
        page.get_by_label("API key").fill(stack.key)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_title("Sign in – Customer segments")
    context.close()


def test_the_overview(look: Look) -> None:
    page = look.open("/overview")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    look.check()
