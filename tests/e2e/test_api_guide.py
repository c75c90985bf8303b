"""Every block of the API guide runs, in each of its three languages, and prints what the guide says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT, SAMPLE_CSV
from tests.e2e.conftest import GRANIAN, System
from tests.e2e.test_readme import matches

COMMANDS = {
    "sh": ["bash", "-euo", "pipefail"],
    "python": [sys.executable, "-"],
    "js": ["node", "--input-type=module"],
}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of a job, what the guide says that it prints (None: it does not say), and the job it belongs to."""

    job: str
    language: str
    code: str
    printed: str | None


def blocks() -> list[Block]:
    """Return the blocks of the guide, in its order."""
    text = (ROOT / "docs" / "api-guide.md").read_text(encoding="utf-8")
    return [
        Block(section.partition("\n")[0], *found.groups())
        for section in text.split("\n## ")[1:]
        for found in _BLOCK.finditer(section)
    ]


BEGINNINGS = {block.language: block.code for block in blocks() if block.job == "Before you begin"}
CUSTOMER = BEGINNINGS.pop("json")
JOBS = [block for block in blocks() if block.job != "Before you begin"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the blocks run, one after another: later ones find the files of earlier ones."""
    return tmp_path_factory.mktemp("guide")


def test_every_job_is_told_in_every_language() -> None:
    jobs = list(dict.fromkeys(block.job for block in JOBS))
    assert len(jobs) >= 10
    assert [(block.job, block.language) for block in JOBS] == [(job, name) for job in jobs for name in COMMANDS]
    assert set(BEGINNINGS) == set(COMMANDS)


def test_every_block_runs_and_prints_what_the_guide_says(system: System, folder: Path) -> None:
    assert shutil.which("node"), "Node.js is needed: apt-get install nodejs"
    system.start_model()
    system.start_gateway(GRANIAN)
    system.start_worker()
    assert system.run("gateway", "import", str(SAMPLE_CSV)).returncode == 0
    (folder / "customer.json").write_text(CUSTOMER)
    faults = [fault for block in JOBS for fault in _faults(block, system, folder)]
    assert not faults, "\n".join(faults)


def _faults(block: Block, system: System, folder: Path) -> Iterator[str]:
    done = subprocess.run(
        COMMANDS[block.language],
        input=BEGINNINGS[block.language] + block.code,
        cwd=folder,
        env={**system.env, "BASE": system.base, "KEY": system.key},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode != 0 or not matches(block.printed or "…", done.stdout):
        yield f"--- {block.job}, {block.language}:\n{block.code}--- printed:\n{done.stdout}{done.stderr}"
