"""Running schemathesis against a service that is up, as `make fuzz` does at length and `make test` in short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))
"""Random examples for each operation, beside those that try the edges of every parameter."""
SHORT = "FUZZ_EXAMPLES" not in os.environ
LEAST_CASES = 200 if SHORT else 2_000
SEED = os.environ.get("FUZZ_SEED", "2026")


@dataclass(frozen=True)
class Findings:
    """What a run came to.

    Attributes
    ----------
    clean : whether nothing failed.
    cases : requests that were made up.
    text : what schemathesis says of the run.
    """

    clean: bool
    cases: int
    text: str


def fuzz(
    document: str,
    secret: str,
    config: str,
    folder: Path,
    without: Sequence[str] = (),
    hooks: str = "tests.fuzz.media_types",
    phases: str = "examples,coverage,fuzzing,stateful",
) -> Findings:
    """Try a service by its OpenAPI document: every check, edges and random data, and sequences along its links.

    Parameters
    ----------
    document : its address.
    secret : shown as a bearer token.
    config : the file beside this one that says which checks an operation is spared, and why.
    folder : for the report.
    without : paths that the short form leaves out, since they take long.
    hooks : the module that schemathesis loads to know more of the service.
    phases : those of the short form; the long one has all.
    """
    report = folder / "report.json"
    options = ["--max-examples", str(EXAMPLES), "--seed", SEED, "--generation-database", "none", "--no-color"]
    options += [word for path in (without if SHORT else ()) for word in ("--exclude-path", path)]
    options += ["--phases", phases] if SHORT else []
    options += ["--report-json-path", str(report), "-H", f"Authorization: Bearer {secret}"]
    schemathesis = str(Path(sys.executable).with_name("schemathesis"))
    command = [schemathesis, "--config-file", str(FOLDER / config), "run", document, *options]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": hooks}
    done = subprocess.run(command, cwd=FOLDER.parents[1], env=environment, capture_output=True, text=True)
    cases = json.loads(report.read_text())["test_cases"]["generated"] if report.exists() else 0
    return Findings(done.returncode == 0, cases, done.stdout + done.stderr)
