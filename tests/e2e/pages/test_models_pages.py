"""Analysts look at versions of the model, train one, see who would move, put it in use, and roll back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Route, expect
from support.browser import Look, signed_in
from support.servers import Mongod

from tests.conftest import SAMPLE_CSV
from tests.e2e.conftest import System
from tests.e2e.pages.conftest import running_system

SCRIPT = "<img src=x onerror=alert(1)>"
TRAINED = 180_000
"""Milliseconds that a training may take on a busy machine."""
DRAWN = 30_000
"""Milliseconds that a picture may take there."""


@pytest.fixture(scope="module")
def small(mongod: Mongod, tmp_path_factory: pytest.TempPathFactory, sample_models: object) -> Iterator[System]:
    """A system with some hundred customers, whose model these tests change."""
    with running_system(tmp_path_factory.mktemp("models"), mongod, sample_models) as system:  # type: ignore[arg-type]
        rows = "".join(SAMPLE_CSV.read_text().splitlines(keepends=True)[:401])
        csv = {"Content-Type": "text/csv"}
        assert system.http.post(f"{system.base}/api/v1/imports", data=rows, headers=csv, timeout=60).ok
        system.counted(400)
        yield system


@pytest.fixture
def at_small(browser: Browser, small: System) -> Iterator[Look]:
    with signed_in(browser, small.base, small.key) as context, Look.at(context, small.base) as look:
        yield look


def test_all_versions_and_whether_the_customers_still_fit(look: Look) -> None:
    page = look.open("/models")
    expect(page.get_by_role("heading", name="In use now")).to_be_visible()
    look.check()
    page.get_by_role("button", name="Check now").dblclick()
    expect(page.get_by_text("customers, looked at on")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("The stored customers are like those")).to_be_visible()


def _a_picture_comes_late_or_not_at_all(look: Look) -> None:
    """Some seconds of being busy are waited for; what lasts is said, and asked for again by hand."""
    page, answers = look.page, [(503, "analysis_busy"), (500, "drawing_failed"), (503, "analysis_busy")]

    def refuse(route: Route) -> None:
        status, code = answers.pop(0)
        problem = json.dumps({"status": status, "code": code, "detail": "It could not be drawn."})
        headers = {"Content-Type": "application/problem+json", "Retry-After": "1"}
        route.fulfill(status=status, body=problem, headers=headers)

    page.route("**/plots/shares.svg", refuse, times=len(answers))
    fold = page.locator("details.plot").filter(has=page.locator("[data-picture$='/shares.svg']"))
    fold.locator("summary").click()
    expect(fold.get_by_text("The picture is being drawn …")).to_be_visible()
    expect(fold.get_by_role("alert")).to_contain_text("It could not be drawn.")
    fold.get_by_role("button", name="Try again").click()
    expect(fold.get_by_role("img")).to_be_visible(timeout=DRAWN)
    look.expect("503", "500")


def test_the_evidence_with_pictures_and_the_report(look: Look) -> None:
    page = look.open("/models/active")
    expect(page.get_by_role("row", name="6 chosen")).to_be_visible()
    page.get_by_text("For data scientists").click()
    expect(page.get_by_text("How much closer customers lie to their own segment")).to_be_visible()
    look.check()
    page.locator("details.plot summary").first.click()
    picture = page.locator("details.plot[open] img")
    expect(picture).to_be_visible(timeout=DRAWN)
    assert picture.evaluate("async (image) => (await image.decode(), image.naturalWidth)") > 100
    _a_picture_comes_late_or_not_at_all(look)
    links = [
        page.get_by_role("link", name=name) for name in ("Open the validation report", "Open the report for marketing")
    ]
    for address in [str(link.get_attribute("href")) for link in links]:
        expect(look.open(address).get_by_role("heading", level=1)).to_be_visible()


def test_a_version_from_its_training_to_its_rollback(at_small: Look, small: System) -> None:
    """Every button is pressed twice, and what was ordered is done once."""
    page = at_small.open("/models")
    page.get_by_label("Fixed").check()
    page.get_by_label("Number of segments").fill("3")
    page.get_by_label("Note").fill(SCRIPT)
    page.get_by_role("button", name="Start the training").dblclick()
    expect(page.get_by_role("heading", name="Training of")).to_be_visible(timeout=30_000)
    expect(page.locator("[data-log]")).to_contain_text("measuring stability", timeout=TRAINED)
    expect(page.get_by_text("It has made a new version.")).to_be_visible(timeout=TRAINED)
    expect(page.get_by_text(SCRIPT)).to_be_visible()
    assert [each["note"] for each in _items(small, "trainings")] == [SCRIPT]
    at_small.check()

    page.get_by_role("link", name="See how good it is").click()
    page.get_by_role("button", name="Show who would move").dblclick()
    expect(page.get_by_role("table", name="How many customers go from")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("table", name="The largest moves")).to_be_visible()
    version = page.url.rpartition("/")[2]

    page.get_by_label("Why").fill(SCRIPT)
    page.get_by_role("button", name="Activate it against the checks").click()
    expect(page.get_by_role("dialog")).to_have_count(0)  # not before it is said that one has read what failed
    page.get_by_label("I have read what failed").check()
    page.get_by_role("button", name="Activate it against the checks").dblclick()
    page.get_by_role("dialog").get_by_role("button", name="Activate").dblclick()
    expect(page.get_by_role("heading", name="What came of it")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("All customers have been scored")).to_be_visible(timeout=60_000)
    expect(page.get_by_text(SCRIPT).first).to_be_visible()
    page.get_by_role("button", name="Show who has moved since").click()
    expect(page.get_by_text("because of this version")).to_be_visible(timeout=30_000)

    page = at_small.open("/models")
    page.get_by_role("button", name="Roll back").dblclick()
    page.get_by_role("dialog").get_by_label("Why").fill("second thoughts")
    page.get_by_role("dialog").get_by_role("button", name="Roll back").dblclick()
    expect(page.get_by_role("heading", name="What came of it")).to_be_visible(timeout=30_000)
    told = [(each["kind"], each["reason"]) for each in _items(small, "activations")]
    assert told[:2] == [("rollback", "second thoughts"), ("activate", SCRIPT)]
    assert _items(small, "activations")[1]["version"] == version
    assert len(told) == 3


def test_a_file_that_is_no_list_of_customers_fails_with_the_reason(at_small: Look) -> None:
    page = at_small.open("/models")
    page.get_by_label("A file").check()
    page.get_by_label("File", exact=True).set_input_files(
        {"name": f"{SCRIPT}.csv", "mimeType": "text/csv", "buffer": b"BALANCE\n1\n"}
    )
    page.get_by_role("button", name="Start the training").dblclick()
    expect(page.get_by_text("It failed.")).to_be_visible(timeout=TRAINED)
    at_small.check()


def test_a_training_is_cancelled_and_orders_without_an_answer_lose_nothing(at_small: Look, small: System) -> None:
    page = at_small.open("/models")
    page.get_by_label("Note").fill("kept")
    page.route("**/api/v1/models?*", lambda route: route.abort())
    page.get_by_role("button", name="Start the training").click()
    expect(page.get_by_text("The service cannot be reached.")).to_be_visible()
    expect(page.get_by_label("Note")).to_have_value("kept")
    page.unroute("**/api/v1/models?*")
    page.get_by_role("button", name="Start the training").click()
    page.get_by_role("button", name="Cancel the training").click(timeout=30_000)
    page.get_by_role("dialog").get_by_role("button", name="Cancel the training").dblclick()
    expect(page.get_by_text("It was cancelled.")).to_be_visible(timeout=30_000)
    at_small.expect("ERR_FAILED")
    assert _items(small, "trainings")[0]["note"] == "kept"


def test_without_the_model_service_the_pages_stay(at_small: Look, small: System) -> None:
    """The last test of the system: it loses its model service."""
    version = next(each["version"] for each in _items(small, "models") if each["status"] != "active")
    page = at_small.open(f"/models/{version}")
    small.kill("model")
    page.get_by_role("button", name="Show who would move").click()
    expect(page.get_by_text("That did not work.")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("button", name="Show who would move")).not_to_have_attribute("aria-disabled", "true")
    page = at_small.open("/models")
    expect(page.get_by_text("The model service does not answer.")).to_be_visible()
    at_small.check()
    at_small.expect("503")


def _items(system: System, path: str) -> list[dict[str, str]]:
    return list(system.http.get(f"{system.base}/api/v1/{path}", timeout=30).json()["items"])
