"""Whoever has a file sends it over the page: columns, what it would change, progress, receipt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from support.browser import PHONE, Look, signed_in

from tests.conftest import SAMPLE_CSV
from tests.e2e.conftest import System

ROWS = SAMPLE_CSV.read_text(encoding="utf-8").splitlines()
EVIL = "<img src=x onerror=alert(1)>"


def write(folder: Path, *rows: str, header: str = ROWS[0], name: str = "crm.csv") -> Path:
    """Write a file of customers; return it."""
    file = folder / name
    file.write_text("\n".join([header, *rows]), encoding="utf-8")
    return file


def choose(look: Look, file: Path) -> Page:
    page = look.open("/imports")
    page.get_by_label("Choose a file").set_input_files(file)
    return page


def check(page: Page) -> None:
    """Have the file checked, and wait until it is."""
    page.get_by_role("button", name="Check the file").click()
    expect(page.locator("#found #receipt")).to_be_visible(timeout=60_000)


def test_the_page_and_its_fields(look: Look, tmp_path: Path) -> None:
    page = look.open("/imports")
    expect(page.get_by_role("heading", name="Import customers")).to_be_visible()
    look.check()
    page.get_by_label("Choose a file").set_input_files(write(tmp_path, *ROWS[1:3]))
    expect(page.get_by_text("All that is needed is recognised: 18 of 18 columns.")).to_be_visible()
    look.check()


def test_a_spreadsheet_is_refused_with_what_to_do(look: Look, tmp_path: Path) -> None:
    file = tmp_path / "crm.xlsx"
    file.write_bytes(b"PK")
    page = choose(look, file)
    expect(page.get_by_role("alert")).to_contain_text("save it as “CSV UTF-8”")
    expect(page.get_by_role("button", name="Check the file")).to_be_hidden()


def test_columns_with_odd_names_are_mapped_and_the_check_writes_nothing(
    look: Look, tmp_path: Path, stack: System
) -> None:
    header = ROWS[0].replace("CUST_ID", EVIL).replace("TENURE", '"Dauer, ""Monate"""').replace("BALANCE,", "balance,")
    bad = ROWS[2].split(",")
    bad[1] = "-5"
    file = write(tmp_path, ROWS[1], ",".join(bad), *ROWS[3:40], header=f"\ufeff{header}", name=f"März {EVIL[5:12]}.csv")
    page = choose(look, file)
    expect(page.get_by_text("16 of 18 columns are recognised.")).to_be_visible()
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_label("Customer id")).to_be_focused()
    expect(page.get_by_text("Choose the column for Customer id.")).to_be_in_viewport()
    expect(page.locator("#preflight, #messages .notice")).to_be_hidden()
    look.check()
    page.get_by_label("Customer id").select_option(EVIL)
    page.get_by_label("Months as a customer").select_option('Dauer, "Monate"')
    check(page)
    found = page.locator("#found")
    expect(found.get_by_role("row", name="3 Average balance owed (balance) must be at least 0")).to_be_visible()
    expect(found.get_by_text("Would be new")).to_be_visible()
    page.get_by_text("How the file was read").click()
    expect(found.get_by_text(f"column “{EVIL}”")).to_be_visible()
    look.check()
    page.goto("/imports")
    page.get_by_role("link", name="März").first.click()
    expect(page.get_by_text("This was a check: nothing has been written.")).to_be_visible()
    look.check()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all 1 reasons").click()
    assert "must be at least 0" in download.value.path().read_text()
    assert stack.http.get(f"{stack.base}/api/v1/customers/S00001", timeout=10).status_code in (200, 404)


def test_refused_rows_are_offered_as_they_stand_in_the_file(look: Look, tmp_path: Path) -> None:
    header = ROWS[0].replace(",", ";").replace("BALANCE;", "AVG_SALDO;", 1) + ";Note"
    good, other, nameless = (f"{row.replace(',', ';')};" for row in ROWS[1:4])
    cells = other.split(";")
    negative = ";".join([cells[0], "-5", *cells[2:-1], '"two\nlines; in ""quotes"" here"'])
    nameless = nameless[nameless.index(";") :]
    page = choose(look, write(tmp_path, good, negative, good.replace("S00001", "S00009"), nameless, header=header))
    page.get_by_label("Average balance owed").select_option("AVG_SALDO")
    check(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the refused rows").click()
    assert download.value.suggested_filename == "crm-refused.csv"
    assert download.value.path().read_bytes().decode("utf-8-sig").split("\r\n") == [
        f'{header};"Why it was refused"',
        f'{negative};"AVG_SALDO: must be at least 0"',
        f'{nameless};"CUST_ID: is empty"',
        "",
    ]
    look.check()
    commas = [f"{row.replace(',', ';').replace('.', ',')};" for row in ROWS[1:9]]
    commas_file = write(tmp_path, *commas, header=ROWS[0].replace(",", ";") + ";", name="commas.csv")
    page.get_by_label("Choose a file").set_input_files(commas_file)
    check(page)
    expect(page.get_by_text("No row can be imported")).to_be_visible()
    expect(page.get_by_text("Numbers in this file have decimal commas; save it with decimal points.")).to_be_visible()


def test_nothing_chosen_is_lost_while_nobody_answers(look: Look, tmp_path: Path) -> None:
    page = choose(look, write(tmp_path, *ROWS[1:30]))
    page.route("**/api/v1/imports?*", lambda route: route.abort())
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_text("The connection broke before the file had arrived")).to_be_visible()
    look.expect("ERR_FAILED")
    page.unroute("**/api/v1/imports?*")
    check(page)
    expect(page.get_by_text("can be imported.")).to_be_visible()


@pytest.mark.parametrize("size", [PHONE], ids=["phone"])
def test_a_mirror_from_the_sample_to_its_receipt(
    browser, own_stack: System, tmp_path: Path, size: tuple[int, int]
) -> None:
    own_stack.http.post(f"{own_stack.base}/api/v1/sample", timeout=120).raise_for_status()
    bad = ROWS[1001].rpartition(",")[0] + ",13"
    file = write(tmp_path, bad, *ROWS[1002:], name=f"{EVIL[1:8]}.csv")
    with signed_in(browser, own_stack.base, own_stack.key, size) as context, Look.at(context, own_stack.base) as look:
        page = choose(look, file)
        page.get_by_label("Make them equal to the file").check()
        check(page)
        expect(page.get_by_text("1,000 of your 6,000 stored customers are not in the file and would")).to_be_visible()
        look.check()
        page.get_by_role("button", name="Import and delete 1,000 customers").click()
        expect(page.get_by_role("dialog")).to_contain_text("Delete 1,000 of 6,000 customers?")
        page.get_by_role("dialog").get_by_role("button", name="Delete 1,000 customers").dblclick()
        expect(page.get_by_text("1,000 were deleted.")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("Done, with refused rows", exact=True)).to_be_visible()
        expect(page).to_have_url(re.compile(r"/imports/\w"))
        expect(page.get_by_role("link", name="Each can be restored for 30 days")).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download the refused rows").click()
        assert f'{bad},"TENURE: must be at most 12"' in download.value.path().read_text(encoding="utf-8")
        look.check()
    imports = own_stack.http.get(f"{own_stack.base}/api/v1/imports", timeout=10).json()["items"]
    assert [(found["dry_run"], found["deleted"]) for found in imports] == [(False, 1_000), (True, 1_000), (False, 0)]
