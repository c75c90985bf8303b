"""How long every page of the web page takes with a million customers, in Chromium, and how much it loads."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import requests
from playwright.sync_api import Browser, Page, sync_playwright
from support.browser import CHROMIUM_OPTIONS, Look, signed_in

from tests.benchmarks.imports import System, running, sent
from tests.conftest import ROOT, SAMPLE_CSV
from tests.e2e.pages.every_page import addresses, known_in

_INTERACTIVE = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
_SETTLED = "performance.getEntriesByType('navigation')[0].loadEventEnd"


def measure(browser: Browser, system: System, address: str, times: int) -> str:
    """Return a row of the table: medians of ms until the page can be used and until all is loaded, and kilobytes."""
    interactive, settled, weight = [], [], 0
    for _ in range(times):
        with signed_in(browser, system.base, system.key) as context, Look.at(context, system.base) as look:
            page: Page = look.open(address)
            interactive.append(page.evaluate(_INTERACTIVE))
            settled.append(page.evaluate(_SETTLED))
            weight = look.bytes_loaded
            look.wrong.clear()
    return (
        f"| {address} | {statistics.median(interactive):.0f} | {statistics.median(settled):.0f} | {weight / 1000:.0f} |"
    )


@click.command()
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--times", default=3, show_default=True)
def main(rows: int, times: int) -> None:
    """Load ROWS generated customers, then look at every page TIMES with an empty cache."""
    with tempfile.TemporaryDirectory() as name:
        folder, csv = Path(name), Path(name) / "customers.csv"
        program = [sys.executable, str(ROOT / "data" / "generate.py")]
        subprocess.run([*program, "--rows", str(rows), "--seed", "7", "--out", str(csv)], check=True)
        train = [sys.executable, "-m", "model_service", "train", str(SAMPLE_CSV), "--store", str(folder / "models")]
        subprocess.run(train, check=True, stdout=subprocess.DEVNULL)
        with running(folder, folder / "models") as system:
            sent(system, csv, "text/csv")
            with requests.Session() as http, sync_playwright() as playwright:
                http.headers["Authorization"] = f"Bearer {system.key}"
                browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM_OPTIONS)
                click.echo("| page | usable after ms | loaded after ms | KB |\n|---|---|---|---|")
                for address in addresses(known_in(system.base, http)):
                    click.echo(measure(browser, system, address, times))
                browser.close()


if __name__ == "__main__":
    main()
