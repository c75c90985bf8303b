"""What holds for every page, whoever writes the next one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Dialog, Page, expect
from support.browser import PHONE, Look, signed_in
from support.servers import running_mongod

from tests.conftest import SAMPLE_CSV
from tests.e2e.conftest import System, wait_until
from tests.e2e.pages.conftest import running_system
from tests.e2e.pages.every_page import addresses, known_in

FOLLOW_FOCUS = """() => {
  const shown = (e) => !e.disabled && e.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  // Of radio buttons with one name Tab reaches the chosen one: arrows lead to the others.
  const chosen = (e) => e.form?.querySelector(`input[type=radio][name="${CSS.escape(e.name)}"]:checked`);
  window.waiting = new Set([...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
    .filter((e) => shown(e) && !(e.type === "radio" && !e.checked && chosen(e))));
  window.unseen = [];
  document.addEventListener("focusin", ({ target }) => {
    window.waiting.delete(target);
    const { outlineStyle, outlineWidth } = getComputedStyle(target), box = target.getBoundingClientRect();
    const seen = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && box.width > 1;
    if (!seen || box.bottom <= 0 || box.top >= innerHeight) window.unseen.push(target.outerHTML);
  });
  return window.waiting.size;
}"""
"""Notes which controls Tab has not reached yet, and which show no focus, or out of sight."""
SCRIPT = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture
def filled(own_stack: System) -> System:
    """A system with a few customers of the sample, and text that would be a script in every free text."""
    lines = SAMPLE_CSV.read_text().splitlines(keepends=True)[:31]
    api = f"{own_stack.base}/api/v1"
    csv = {"Content-Type": "text/csv"}
    done = own_stack.http.post(f"{api}/imports", params={"name": SCRIPT}, data="".join(lines), headers=csv, timeout=60)
    assert done.status_code == 201, done.text
    own_stack.counted(30)
    segment = own_stack.http.get(f"{api}/segments", timeout=10).json()["items"][0]["id"]
    label = {"name": f"{SCRIPT[:60]}", "description": SCRIPT, "owner": SCRIPT}
    renamed = own_stack.http.patch(f"{api}/segments/{segment}", json=label, timeout=10)
    assert renamed.status_code == 200, renamed.text
    made = own_stack.http.post(f"{api}/api-keys", json={"name": SCRIPT, "scopes": ["admin"]}, timeout=10)
    assert made.status_code == 201, made.text
    return own_stack


def test_text_of_others_is_text_and_the_keyboard_reaches_all(browser: Browser, filled: System) -> None:
    """On a phone and in the dark, where every page is as accessible as elsewhere; nothing of the text runs."""
    dialogs: list[Dialog] = []
    with (
        signed_in(browser, filled.base, filled.key, PHONE, color_scheme="dark") as context,
        Look.at(context, filled.base) as look,
    ):
        look.page.on("dialog", lambda dialog: dialogs.append(dialog))
        for address in addresses(known_in(filled.base, filled.http)):
            page = look.open(address)
            assert page.locator("main img[src='x'], main script").count() == 0, address
            look.check()
            _tab_through(page, address)
    assert dialogs == []


def test_without_the_model_service_every_page_says_so_in_its_place(browser: Browser, filled: System) -> None:
    pages = addresses(known_in(filled.base, filled.http))
    filled.kill("model")
    assert set(_statuses(browser, filled, pages).values()) <= {200, 503, 504}


def test_without_the_database_every_page_says_so_and_is_back_afterwards(
    browser: Browser, tmp_path: Path, sample_models: Path
) -> None:
    with running_mongod() as mongod, running_system(tmp_path, mongod, sample_models, MONGODB_TIMEOUT="1") as system:
        pages = ["/overview", "/segments", "/customers", "/customers/C1", "/imports", "/models", "/settings/audit"]
        assert set(_statuses(browser, system, pages).values()) <= {200, 404, 503}
        mongod.kill()
        statuses = _statuses(browser, system, pages, "Not available at the moment")
        assert {address: status for address, status in statuses.items() if status not in (200, 503)} == {}
        assert statuses["/customers"] == 503
        mongod.start()
        wait_until(lambda: requests.get(f"{system.base}/health/ready", timeout=5).ok, "the database is back")
        assert _statuses(browser, system, ["/customers"]) == {"/customers": 200}


def test_a_key_that_is_revoked_in_mid_use_ends_its_session_and_no_other(browser: Browser, stack: System) -> None:
    api = f"{stack.base}/api/v1/api-keys"
    made = stack.http.post(api, json={"name": "to be revoked", "scopes": ["models:read"]}, timeout=10).json()
    with signed_in(browser, stack.base, made["key"]) as context, Look.at(context, stack.base) as look:
        expect(look.open("/overview").get_by_role("heading", name="Overview")).to_be_visible()
        assert (
            look.page.get_by_role("link", name="Customers", exact=True).count() == 0
        )  # what it may not is not offered
        assert stack.http.delete(f"{api}/{made['id']}", timeout=10).ok
        wait_until(lambda: "/sign-in" in look.open("/overview").url, "the session has ended")


def _tab_through(page: Page, address: str) -> None:
    """Press Tab until every control has had the focus, which shows on each."""
    controls = page.evaluate(FOLLOW_FOCUS)
    for _ in range(2 * controls):
        page.keyboard.press("Tab")
        if not page.evaluate("window.waiting.size"):
            break
    left = page.evaluate("[...window.waiting].map((e) => e.outerHTML)")
    assert (address, left, page.evaluate("window.unseen")) == (address, [], [])


def _statuses(browser: Browser, system: System, pages: Sequence[str], words: str = "") -> dict[str, int]:
    """Open all pages; whatever is not there has to say so in words, as a page."""
    found = {}
    with signed_in(browser, system.base, system.key) as context, Look.at(context, system.base) as look:
        for address in pages:
            answer = look.page.goto(address, wait_until="networkidle")
            assert answer is not None
            found[address] = answer.status
            assert look.page.get_by_role("heading", level=1).count() == 1, address
            if answer.status == 503:
                expect(look.page.get_by_role("heading", level=1)).to_contain_text(words or "Not available")
        look.expect("404", "502", "503", "504")
    return found
