"""The README's tour, word for word, against the running system."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT, SAMPLE_CSV
from tests.e2e.conftest import GRANIAN, System


class Step(NamedTuple):
    """A command of the tour and what the README says it prints; … stands for anything."""

    command: str
    printed: str


def tour() -> list[Step]:
    steps: list[Step] = []
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append(Step(line[2:], ""))
            elif line.startswith("> "):
                steps[-1] = Step(f"{steps[-1].command}\n{line[2:]}", "")
            else:
                steps[-1] = Step(steps[-1].command, f"{steps[-1].printed}{line}\n")
    return steps


def matches(said: str, printed: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in said.strip().split("…"))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def test_the_tour_prints_what_the_readme_says(system: System, tmp_path: Path) -> None:
    system.start_model()
    system.start_gateway(GRANIAN)
    system.start_worker()
    assert system.run("gateway", "import", str(SAMPLE_CSV)).returncode == 0
    system.counted(6000)
    steps = tour()
    assert len(steps) >= 10
    (tmp_path / "api_key").write_text(f"{system.key}\n", encoding="utf-8")
    here = {
        "http://127.0.0.1:8000": system.base,
        ".venv/bin/python": "python",
        ".data/api_key": str(tmp_path / "api_key"),
    }
    set_before = ""
    for step in steps:
        command = step.command
        for there, place in here.items():
            command = command.replace(there, place)
        if command.startswith("export "):
            set_before += f"{command}\n"
        done = subprocess.run(
            ["bash", "-c", set_before + command],
            cwd=ROOT,
            env=system.env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if not matches(step.printed, done.stdout):
            pytest.fail(f"{step.command}\n--- README:\n{step.printed}\n--- printed:\n{done.stdout}{done.stderr}")


def test_an_ellipsis_stands_for_something_and_the_rest_must_agree() -> None:
    assert matches("a … c", "a b c\n")
    assert not matches("a … c", "a b d\n")
