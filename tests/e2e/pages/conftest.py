"""The whole system with the real customers, and Debian's Chromium that looks at its pages (Playwright)."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from support.browser import CHROMIUM_OPTIONS, Look, signed_in
from support.servers import Mongod

from tests.conftest import REAL_CSV, SAMPLE_CSV
from tests.e2e.conftest import GRANIAN, UVICORN, System, own_system


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without a window, of one module: while Playwright runs, no other test here could run an event loop."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on this machine (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


_running = ExitStack()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """End the system with the last test of this folder; to the end of the session it would take from all others."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        _running.close()


@pytest.fixture(scope="session")
def stack(mongod: Mongod, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> System:
    """A running system with all customers in it. Tests leave its customers and its model as they were."""
    real = REAL_CSV.exists()
    if not real:
        warnings.warn(f"the real data are not on this machine ({REAL_CSV}): pages show the sample", stacklevel=1)
    models: Path = request.getfixturevalue("real_models" if real else "sample_models")
    system = _running.enter_context(running_system(tmp_path_factory.mktemp("pages"), mongod, models))
    csv = REAL_CSV if real else SAMPLE_CSV
    done = system.run("gateway", "import", str(csv))
    assert done.returncode == 0, done.stderr
    system.counted(len(csv.read_text().splitlines()) - 1)
    return system


@pytest.fixture
def own_stack(mongod: Mongod, tmp_path: Path, sample_models: Path) -> Iterator[System]:
    """A running system of the test's own, without customers: for tests that change a lot, or stop parts of it."""
    with running_system(tmp_path, mongod, sample_models) as system:
        yield system


@contextmanager
def running_system(folder: Path, mongod: Mongod, models: Path, **settings: str) -> Iterator[System]:
    """Run both tiers and a worker on a database and a copy of a model store."""
    with own_system(folder, mongod, models) as system:
        system.env |= {"RATE_LIMIT_ANONYMOUS": "100000 per minute", "WEBHOOK_NETWORKS": "127.0.0.0/8", **settings}
        system.start_model(UVICORN)
        system.start_worker()
        system.start_gateway(GRANIAN)
        yield system


@pytest.fixture
def context(browser: Browser, stack: System) -> Iterator[BrowserContext]:
    """A browser that is signed in with a key that may do everything."""
    with signed_in(browser, stack.base, stack.key) as context:
        yield context


@pytest.fixture
def look(context: BrowserContext, stack: System) -> Iterator[Look]:
    """A page of that browser; at the end nothing must have gone wrong in it that the test did not expect."""
    with Look.at(context, stack.base) as look:
        yield look
