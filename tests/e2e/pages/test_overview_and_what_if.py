"""The overview, what needs attention, and what if, as people use them."""

from __future__ import annotations

from playwright.sync_api import Browser, Route, expect
from support.browser import PHONE, Look, signed_in

from tests.e2e.conftest import UVICORN, System


def test_the_overview_answers_what_a_marketer_asks_first(look: Look, stack: System) -> None:
    page = look.open("/overview")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    split = page.get_by_role("table").filter(has_text="Share of all purchases")
    rows = split.get_by_role("row")
    expect(rows).to_have_count(7)
    expect(page.get_by_text("The model service answers")).to_be_visible()
    expect(page.get_by_role("link", name="was imported").or_(page.get_by_text("came with files")).first).to_be_visible()
    moves = page.locator("[data-moves]")
    expect(moves.get_by_text("moved from one segment to another")).to_be_visible()
    look.check()


def test_on_a_phone_and_what_needs_attention(browser: Browser, stack: System) -> None:
    with signed_in(browser, stack.base, stack.key, PHONE) as context, Look.at(context, stack.base) as look:
        for address in ("/overview", "/settings/alerts", "/what-if"):
            look.open(address)
            look.check()


def test_an_answer_follows_as_one_types_by_keyboard(look: Look) -> None:
    page = look.open("/what-if?customer=C10001")
    answer, reasons = page.locator("[data-answer]"), page.locator("[data-reasons]")
    before = answer.get_by_role("link").first.inner_text()
    expect(answer).to_contain_text("sure")
    expect(reasons).to_contain_text("What would move it")
    look.check()
    reasons.get_by_role("button", name="Try it").press("Enter")
    expect(answer.get_by_role("link").first).not_to_have_text(before)
    page.get_by_role("button", name="Back to these values").press("Enter")
    expect(answer.get_by_role("link").first).to_have_text(before)
    owed = page.get_by_label("Average balance owed")
    owed.fill("")
    owed.press_sequentially("-5")
    expect(owed).to_have_attribute("aria-invalid", "true")
    expect(answer).to_contain_text("Correct the marked values")
    expect(reasons).not_to_contain_text("What would move it")
    expect(page.get_by_role("button", name="Back to it (Average balance owed)")).to_be_visible()
    owed.fill("20000")
    expect(answer).to_contain_text("sure")
    expect(owed).not_to_have_attribute("aria-invalid", "true")


def test_an_answer_to_what_was_changed_since_is_dropped_and_faults_stand_beside_their_fields(look: Look) -> None:
    page = look.open("/what-if")
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:  # the first one is never answered: the next must not wait for it
            route.continue_()

    page.route("**/api/v1/predictions*", answer)
    tenure = page.get_by_label("Months as a customer")
    with page.expect_request("**/api/v1/predictions*"):
        tenure.fill("2")
    limit = page.get_by_label("Credit limit")
    limit.fill("0")
    expect(page.locator("#CREDIT_LIMIT-fault")).to_have_text("It must be greater than 0.")
    expect(page.locator("[data-answer]")).to_contain_text("Correct the marked values")
    limit.fill("1000")
    expect(page.locator("[data-answer]")).to_contain_text("sure")
    assert len(asked) == 3
    look.expect("422")


def test_from_an_empty_database_to_the_sample_and_back_and_without_the_model_service(
    browser: Browser, own_stack: System
) -> None:
    with signed_in(browser, own_stack.base, own_stack.key) as context, Look.at(context, own_stack.base) as look:
        page = look.open("/overview")
        expect(page.get_by_role("heading", name="No customers are stored yet")).to_be_visible()
        look.check()
        page.get_by_role("button", name="Begin with the sample").dblclick()
        expect(page.get_by_text("You are looking at the sample.")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("6,000", exact=True)).to_be_visible()
        own_stack.kill("model")
        page.goto("/what-if")
        expect(page.locator("[data-answer]")).to_contain_text("Ask again")
        page.get_by_label("Average balance owed").fill("77")
        own_stack.start_model(UVICORN)
        page.get_by_role("button", name="Ask again").click()
        expect(page.locator("[data-answer]")).to_contain_text("sure", timeout=20_000)
        expect(page.get_by_label("Average balance owed")).to_have_value("77")
        page.goto("/overview")
        page.get_by_role("button", name="Remove the sample").click()
        page.get_by_role("button", name="Remove them").click()
        expect(page.get_by_role("heading", name="No customers are stored yet")).to_be_visible(timeout=60_000)
        look.expect("503", "502", "504")
