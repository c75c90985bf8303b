"""A browser looks at pages: what went wrong in it, what axe-core says of them, how heavy and how steady they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Response, ViewportSize

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, TABLET, DESK = ((390, 844), (820, 1180), (1280, 900))
HEAVIEST = 300_000
"""Bytes of a page with all that it loads."""

_LAYOUT_SHIFTS = """
  window.shifts = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
"""


@contextmanager
def signed_in(
    browser: Browser, base: str, key: str, size: tuple[int, int] = DESK, **options: Any
) -> Iterator[BrowserContext]:
    """Give a browser window with a session of this API key."""
    answer = requests.post(f"{base}/sign-in", data={"key": key}, allow_redirects=False, timeout=10)
    assert answer.status_code == 303, answer.text
    window = ViewportSize(width=size[0], height=size[1])
    context = browser.new_context(viewport=window, base_url=base, reduced_motion="reduce", **options)
    context.set_default_timeout(10_000)
    context.add_cookies([{"name": "session", "value": answer.cookies["session"], "url": base}])
    try:
        yield context
    finally:
        context.close()


@dataclass
class Look:
    """A page of a browser, and what has gone wrong in it."""

    page: Page
    wrong: list[str] = field(default_factory=list)
    bytes_loaded: int = 0

    @classmethod
    @contextmanager
    def at(cls, context: BrowserContext, base: str) -> Iterator[Look]:
        """Give a page; scripts that fail, a broken policy and requests to other hosts fail the test at the end."""
        look = cls(context.new_page())
        page = look.page
        page.add_init_script(_LAYOUT_SHIFTS)
        page.on("pageerror", lambda error: look.wrong.append(f"script: {error}"))
        page.on("console", lambda line: look.wrong.append(f"console: {line.text}") if line.type == "error" else None)
        page.on(
            "request",
            lambda asked: None if asked.url.startswith((base, "blob:", "data:")) else look.wrong.append(asked.url),
        )
        page.on("response", look._weigh)
        yield look
        assert look.wrong == []

    def open(self, address: str) -> Page:
        """Open an address; the page is there when all that it loads is."""
        self.bytes_loaded = 0
        self.page.goto(address, wait_until="networkidle")
        return self.page

    def expect(self, *texts: str) -> None:
        """Take these errors for what the test is about."""
        self.wrong = [line for line in self.wrong if not any(text in line for text in texts)]

    def check(self, *, but: Sequence[str] = ()) -> None:
        """Assert that axe-core finds nothing, that nothing has moved while it loaded, and that it is light.

        Parameters
        ----------
        but : rules of axe-core that do not hold here, each with a reason beside the call.
        """
        rules = {rule: {"enabled": False} for rule in but}
        found = Axe().run(self.page, options={"rules": rules}).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
        assert self.page.evaluate("window.shifts") < 0.02
        assert self.bytes_loaded < HEAVIEST
        width = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert width <= 0, "the page is wider than the window"

    def _weigh(self, response: Response) -> None:
        length = response.headers.get("content-length")
        self.bytes_loaded += int(length) if length else 0
