"""Fixtures that every level of tests shares."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.telemetry import logs

if TYPE_CHECKING:
    from support.log_search import Found
    from support.servers import Mongod

# They hold assertions and are no test modules themselves.
pytest.register_assert_rewrite("contracts", "fakes", "support")

ROOT = Path(__file__).resolve().parent.parent
REAL_CSV = ROOT.parent / "shared" / "data" / "cc_general.csv"
SAMPLE_CSV = ROOT / "data" / "sample.csv"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what trains on the real data: the other files that need this model would wait for it together."""
    items.sort(key=lambda item: item.path.name != "test_model_real_data.py")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Look through what a test has logged, in the one process that hears of all tests."""
    from support.log_search import search_report, words_of  # imported here: after its assertions are to be rewritten

    if "PYTEST_XDIST_WORKER" not in os.environ and report.when == "teardown":  # it has what was said before, too
        _FOUND.extend(search_report(report, words_of(REAL_CSV, SAMPLE_CSV)))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a log holds what none may hold: also one of a process, in a file."""
    from support.log_search import search_files, words_of

    if "PYTEST_XDIST_WORKER" not in os.environ:
        folder = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        _FOUND.extend(search_files(folder, words_of(REAL_CSV, SAMPLE_CSV)))
        if _FOUND:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was found in the logs."""
    if _FOUND:
        terminalreporter.section("logs that hold what no log may hold", sep="=", red=True)
        for found in _FOUND[:_SHOWN]:
            terminalreporter.write_line(f"{found.where}:{found.line}: {found.what}: {found.text}")
        terminalreporter.write_line(f"{len(_FOUND)} lines in all (tests/support/log_search.py)")


_FOUND: list[Found] = []
_SHOWN = 40


@pytest.fixture(scope="session", autouse=True)
def _in_development() -> Iterator[None]:
    """Let commands start without secrets; what tests them sets them."""
    with pytest.MonkeyPatch.context() as patch:
        if "DEPLOYMENT" not in os.environ:
            patch.setenv("DEPLOYMENT", "development")
        yield


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Take back what `shared.telemetry.logs.configure` has done: the next test's lines are judged by other settings."""
    root, ours = logging.getLogger(), [logging.getLogger(name) for name in ("gateway", "model_service", "shared")]
    handlers, levels = root.handlers[:], [one.level for one in (root, *ours)]
    log_format, variable, stderr = logs._format, os.environ.get(logs.LOG_FORMAT), sys.stderr
    logs.current_request_id.set(None)  # requests that tests send in this thread leave theirs
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(False)
    if isinstance(sys.stderr, logs._Lines):
        sys.stderr = stderr
    os.environ.pop(logs.LOG_FORMAT, None)
    if variable is not None:
        os.environ[logs.LOG_FORMAT] = variable
    root.handlers[:] = handlers
    for one, level in zip((root, *ours), levels, strict=True):
        one.setLevel(level)
    logs._format = log_format


MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Give a folder by its name, which all processes of the test run share; the first that asks for it fills it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def folder_of(name: str, fill: Callable[[Path], object]) -> Path:
        folder = root / name
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                draft = Path(tempfile.mkdtemp(dir=root))
                fill(draft)
                draft.rename(folder)
        return folder

    return folder_of


@pytest.fixture(scope="session")
def mongod() -> Iterator[Mongod]:
    """A mongod that the whole session shares."""
    # Imported here, as below: unit tests need neither it nor its driver.
    from support.servers import running_mongod

    with running_mongod() as server:
        yield server


@pytest.fixture(scope="session")
def real_csv() -> Path:
    """The public data set of 8,950 customers; it lies beside the checkout and is never part of it."""
    if not REAL_CSV.exists():
        pytest.skip(f"the real data are not on this machine ({REAL_CSV})")
    return REAL_CSV


@pytest.fixture(scope="session")
def sample_csv() -> Path:
    """The generated sample that the project ships."""
    return SAMPLE_CSV


@pytest.fixture(scope="session")
def sample_models(made_once: MadeOnce, sample_csv: Path) -> Path:
    """A model store whose active model was trained on the sample, with k = 6 and few refits; tests work on copies."""
    return made_once("sample-models", partial(_trained_quickly, sample_csv))


@pytest.fixture(scope="session")
def real_models(made_once: MadeOnce, real_csv: Path) -> Path:
    """The same of the real customers."""
    return made_once("real-models", partial(_trained_quickly, real_csv))


def _trained_quickly(csv: Path, folder: Path) -> None:
    # Imported here: tests of the gateway need neither scikit-learn nor pandas.
    from model_service.report.document import write
    from model_service.store.registry import ModelStore
    from model_service.training import calibration
    from model_service.training.dataset import read_customers
    from model_service.training.parallel import NoProgress
    from model_service.training.trainer import Options, train_version

    store = ModelStore(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "REFITS", 3)
        patch.setattr(calibration, "HELD_OUT", 3)
        store.activate(train_version(store, read_customers(csv), Options(ks=(6,)), NoProgress(), write)["version"])
