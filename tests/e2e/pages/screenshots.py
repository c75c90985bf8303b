"""``make screenshots``: every page at three widths and in both themes, into .data/screenshots/."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from support.browser import CHROMIUM_OPTIONS, DESK, PHONE, TABLET, signed_in
from support.servers import running_mongod

from tests.conftest import REAL_CSV, SAMPLE_CSV, _trained_quickly
from tests.e2e.pages.conftest import running_system
from tests.e2e.pages.every_page import addresses, known_in

FOLDER = Path(".data/screenshots")
WIDTHS = {"phone": PHONE, "tablet": TABLET, "desk": DESK}


def main() -> None:
    """Start the system, load it, and look at all of its pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    csv = REAL_CSV if REAL_CSV.exists() else SAMPLE_CSV
    with tempfile.TemporaryDirectory() as folder, running_mongod() as mongod:
        models = Path(folder) / "trained"
        _trained_quickly(csv, models)
        home = Path(folder) / "system"
        home.mkdir()
        with running_system(home, mongod, models) as system:
            system.run("gateway", "import", str(csv))
            system.counted(len(csv.read_text().splitlines()) - 1)
            look_at_all(system.base, system.key, addresses(known_in(system.base, system.http)))


def look_at_all(base: str, key: str, pages: list[str]) -> None:
    """Save a picture of each page as a whole."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM_OPTIONS)
        for width, size in WIDTHS.items():
            for theme in ("light", "dark"):
                with signed_in(browser, base, key, size, color_scheme=theme) as context:
                    page = context.new_page()
                    for address in pages:
                        page.goto(address, wait_until="networkidle")
                        name = re.sub(r"\W+", "-", address).strip("-")
                        page.screenshot(path=FOLDER / f"{name}.{width}.{theme}.png", full_page=True)
                        sys.stdout.write(f"{FOLDER / name}.{width}.{theme}.png\n")
        browser.close()


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEPLOYMENT", "development")
        main()
