"""The README's tour, word for word, against the running system."""

from __future__ import annotations

import re
import subprocess
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


def test_the_tour_prints_what_the_readme_says(system: System) -> None:
    system.start_model()
    system.start_gateway(GRANIAN)
    assert system.run("gateway", "import", str(SAMPLE_CSV)).returncode == 0
    steps = tour()
    assert len(steps) >= 10
    for step in steps:
        command = step.command.replace("http://127.0.0.1:8000", system.base)
        done = subprocess.run(
            ["bash", "-c", command.replace(".venv/bin/python", "python")],
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
