"""The room of the customers as people use it: looking for some, reading one, and editing it while others do too."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, expect
from support.browser import PHONE, Look, signed_in
from support.customers import inputs

from tests.e2e.conftest import System, wait_until


@pytest.fixture
def customer(stack: System) -> Iterator[str]:
    """A customer of the test's own, of whom nothing is left afterwards."""
    cust_id = "zz.edited-in-a-browser"
    address = f"{stack.base}/api/v1/customers/{cust_id}"
    assert stack.http.put(address, json=inputs(CREDIT_LIMIT=1_000.0), timeout=10).status_code == 201
    yield cust_id
    stack.http.post(f"{address}/restore", timeout=10)
    assert stack.http.delete(f"{address}?erase=true", timeout=10).status_code == 200


def test_customers_are_found_sorted_walked_and_shown_in_the_columns_one_likes(look: Look) -> None:
    page = look.open("/customers")
    look.check()
    page.get_by_label("How clear").select_option("Borderline")
    page.get_by_text("Amounts", exact=True).click()
    page.get_by_label("Average balance owed, at least").fill("100")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text(re.compile("Average balance owed at least .?100"))).to_be_visible()
    assert "PURCHASES" not in page.url, "fields that are blank stay out of the address"
    page.get_by_role("link", name="Average balance owed", exact=True).click()
    expect(page.get_by_role("columnheader", name="Average balance owed")).to_have_attribute("aria-sort", "descending")
    first = page.get_by_role("rowheader").first.inner_text()
    page.get_by_role("link", name="Next page").click()
    expect(page.get_by_role("rowheader").first).not_to_have_text(first)
    page.get_by_role("link", name="First page").click()
    expect(page.get_by_role("rowheader").first).to_have_text(first)
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("checkbox", name="Months as a customer").check()
    page.get_by_role("button", name="Show these").click()
    expect(page.get_by_role("columnheader", name="Months as a customer")).to_be_visible()
    expect(look.open("/customers").get_by_role("columnheader", name="Months as a customer")).to_be_visible()
    page.get_by_text("Columns", exact=True).click()
    look.check()
    page.get_by_text("Download", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV, as shown").click()
    assert download.value.path().read_text().startswith("\ufeffCustomer,Segment,Confidence,")


def test_a_customer_is_explained_at_the_desk_and_on_a_phone(look: Look) -> None:
    page = look.open("/customers")
    page.get_by_role("rowheader").first.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Why it is in this segment")).to_be_visible()
    expect(page.get_by_role("img").first).to_have_accessible_name(re.compile("speaks for .+"))
    look.check()
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    look.open(page.url)
    look.check()


def test_of_two_who_edit_one_customer_the_second_sees_what_the_first_has_changed(
    context: BrowserContext, stack: System, look: Look, customer: str
) -> None:
    with Look.at(context, stack.base) as other:
        first, second = _editing(look, customer), _editing(other, customer)
        first.get_by_label("Credit limit").fill("2000")
        first.get_by_label("Months as a customer").fill("10")
        first.get_by_role("button", name="Save").dblclick()
        expect(first.get_by_text("Saved.")).to_be_visible()
        expect(first.get_by_text("Credit limit: 1,000 → 2,000")).to_be_visible()
        second.get_by_label("Credit limit").fill("3000")
        second.get_by_label("Payments in 12 months", exact=False).first.fill("55")
        second.get_by_role("button", name="Save").click()
        conflict = second.get_by_role("alert").filter(has_text="end to end has changed this customer.")
        expect(conflict).to_be_visible()
        expect(conflict.get_by_role("time")).to_have_text(re.compile(r"\d{1,2}:\d\d"))
        expect(
            second.get_by_text("Changed meanwhile from 1,000 to 2,000. Your 3,000 has not been saved.")
        ).to_be_visible()
        expect(second.get_by_label("Credit limit")).to_have_value("3000")
        expect(second.get_by_label("Credit limit")).to_have_class("yours")
        expect(second.get_by_label("Months as a customer")).to_have_value("10")
        other.check()
        second.get_by_role("button", name="Take 2,000").click()
        second.get_by_role("button", name="Save").click()
        expect(second.get_by_text("Saved.")).to_be_visible()
        other.expect("412")
    stored = stack.http.get(f"{stack.base}/api/v1/customers/{customer}", timeout=10).json()
    assert (stored["CREDIT_LIMIT"], stored["TENURE"], stored["PAYMENTS"], stored["seq"]) == (2_000, 10, 55, 3)


def test_what_is_wrong_is_said_beside_the_fields_and_nothing_typed_is_lost(
    stack: System, look: Look, customer: str
) -> None:
    page = _editing(look, customer)
    page.get_by_label("Months paid in full").fill("150")
    page.get_by_label("Number of purchases").fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("This must be at most 100%.")).to_be_visible()
    expect(page.get_by_text("Please fill this in.")).to_be_visible()
    expect(page.get_by_label("Months paid in full")).to_have_value("150")
    look.check()
    page.get_by_label("Months paid in full").fill("75")
    page.get_by_label("Number of purchases").fill("7")
    scored = stack.http.post(f"{stack.base}/api/v1/customers/{customer}/segment", timeout=10)
    assert scored.status_code == 200, "a new revision, of which nobody needs to know"
    page.context.set_offline(True)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The service cannot be reached.")).to_be_visible()
    page.context.set_offline(False)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    look.expect("412", "422", "ERR_INTERNET_DISCONNECTED")
    assert stack.http.get(f"{stack.base}/api/v1/customers/{customer}", timeout=10).json()["PRC_FULL_PAYMENT"] == 0.75


def test_who_is_signed_out_in_mid_edit_signs_in_beside_the_page_and_saves(
    context: BrowserContext, stack: System, look: Look, customer: str
) -> None:
    page = _editing(look, customer)
    page.get_by_label("Credit limit").fill("7000")
    context.clear_cookies()
    page.get_by_role("button", name="Save").click()
    _sign_in_beside(page, stack.key)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    look.expect("401", "403")
    assert _credit_limit(stack, customer) == 7_000


def test_whose_key_is_revoked_in_mid_edit_signs_in_beside_the_page_and_loses_nothing(
    browser: Browser, stack: System, customer: str
) -> None:
    keys = f"{stack.base}/api/v1/api-keys"
    made = stack.http.post(
        keys, json={"name": "Ada", "scopes": ["customers:write", "customers:read"]}, timeout=10
    ).json()
    with signed_in(browser, stack.base, made["key"]) as context, Look.at(context, stack.base) as look:
        page = _editing(look, customer)
        page.get_by_label("Credit limit").fill("7000")
        assert stack.http.delete(f"{keys}/{made['id']}", timeout=10).ok
        bearer = {"Authorization": f"Bearer {made['key']}"}
        wait_until(lambda: requests.get(f"{keys}", headers=bearer, timeout=10).status_code == 401, "the key is revoked")
        page.get_by_role("button", name="Save").click()
        _sign_in_beside(page, stack.key)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Somebody else has signed in in this browser meanwhile")).to_be_visible()
        expect(page.get_by_label("Credit limit")).to_have_value("7000")
        look.expect("401", "403")
    assert _credit_limit(stack, customer) == 1_000, "nothing is saved in the name of another key"


def test_a_customer_is_deleted_after_a_question_and_restored(look: Look, customer: str) -> None:
    page = look.open(f"/customers/{customer}")
    page.get_by_role("button", name="Delete").press("Enter")
    expect(page.get_by_role("dialog").get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Delete")).to_be_focused()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").dblclick()
    expect(page.get_by_role("heading", name="was deleted")).to_be_visible()
    look.check()
    look.open("/deleted-customers")
    look.check()
    page.get_by_role("button", name=f"Restore {customer}").dblclick()
    expect(page.get_by_role("heading", name=f"Customer {customer}", exact=True)).to_be_visible()
    expect(page.get_by_text(f"Customer {customer} has been restored.")).to_be_visible()


def _editing(look: Look, customer: str) -> Page:
    page = look.open(f"/customers/{customer}")
    page.get_by_role("link", name="Edit").click()
    return page


def _sign_in_beside(page: Page, key: str) -> None:
    with page.context.expect_page() as beside:
        page.get_by_role("link", name="sign in in a new tab").click()
    beside.value.get_by_label("API key").fill(key)
    beside.value.get_by_role("button", name="Sign in").click()
    expect(beside.value.get_by_role("button", name="Sign out")).to_be_visible()


def _credit_limit(stack: System, customer: str) -> float:
    return float(stack.http.get(f"{stack.base}/api/v1/customers/{customer}", timeout=10).json()["CREDIT_LIMIT"])
