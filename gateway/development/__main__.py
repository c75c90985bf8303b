"""``python -m gateway.development``: everything on this machine, as ``make run`` does it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
from dotenv import load_dotenv

from gateway.commands import refuse_taken
from gateway.development.credentials import kept_secret
from gateway.development.welcome import WITH_SAMPLE
from gateway.settings import DEVELOPMENT, Settings, read_settings
from shared.processes import adopt_orphans, signal_at_death_of_parent
from shared.secret_rules import SettingsError

SAMPLE = Path("data/sample.csv")
STOP_SECONDS = 10.0
"""How long processes may take to stop before they are killed."""
HINT = "Is another 'make run' still running? Stop it, or set GATEWAY_PORT, MODEL_PORT or MONGOD_PORT in .env."


@click.command()
@click.option("--sample/--no-sample", envvar=WITH_SAMPLE, default=True, show_default=True, help="Load it if empty.")
def main(sample: bool) -> None:
    """Train on the sample if there is no model yet, then start mongod, both tiers and the worker until Ctrl-C.

    Settings come from the environment and, where that is silent, from the file .env.
    """
    os.environ[WITH_SAMPLE] = "yes" if sample else "no"
    load_dotenv(".env")
    os.environ["DEPLOYMENT"] = DEVELOPMENT
    if "GATEWAY_SECRET_KEY" not in os.environ:
        os.environ.setdefault("GATEWAY_SECRET_KEY_FILE", str(kept_secret()))
    try:
        settings = read_settings()
        refuse_taken_ports(settings)
    except SettingsError as error:
        raise click.ClickException(f"wrong setting: {error}") from error
    except click.ClickException as error:
        raise click.ClickException(f"{error.message}. {HINT}") from error
    model_service = [sys.executable, "-m", "model_service"]
    # What an earlier release stored. Only here by itself: it trusts the store, and this key everybody knows anyway.
    subprocess.run([*model_service, "upgrade"], stdout=subprocess.DEVNULL)  # noqa: S603  # ourselves
    if subprocess.run([*model_service, "train", str(SAMPLE), "--if-none"]).returncode:  # noqa: S603  # ourselves
        raise click.ClickException("the model could not be trained: see above")
    sys.exit(run_all())


def refuse_taken_ports(settings: Settings) -> None:
    """Raise ClickException if one of the ports that will be used is taken, SettingsError if one is no number."""
    model_port = os.environ.setdefault("MODEL_PORT", "8001")
    if not model_port.isdigit():
        raise SettingsError(f'Environment variable "MODEL_PORT" invalid: {model_port!r} is no port')
    # One setting moves the model service and whoever looks for it.
    os.environ.setdefault("MODEL_SERVICE_URL", f"http://127.0.0.1:{model_port}")
    refuse_taken("gateway", settings.host, settings.port)
    refuse_taken("model service", "127.0.0.1", int(model_port))
    if "MONGODB_URI" not in os.environ:
        refuse_taken("mongod", "127.0.0.1", int(os.environ.get("MONGOD_PORT", "27117")))


def run_all() -> int:
    """Run the Procfile's processes until one ends or somebody stops them; return the exit status.

    Nothing is left behind if this process is killed (honcho then stops the others in order), or if honcho is.
    """
    os.environ["PYTHONUNBUFFERED"] = "1"  # or a process's lines would show only when it ends
    # A closed terminal must not leave five processes behind: honcho would die of the hang-up before it stops them.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    adopt_orphans()
    command = [sys.executable, "-m", "honcho", "start", "--env", os.devnull]  # .env is read already
    tie = partial(signal_at_death_of_parent, signal.SIGTERM)
    with subprocess.Popen(command, preexec_fn=tie) as honcho:  # noqa: S603  # our Procfile; no threads yet
        signal.signal(signal.SIGHUP, lambda *_: honcho.terminate())
        signal.signal(signal.SIGTERM, lambda *_: honcho.terminate())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches honcho too, which stops the others in order
        status = honcho.wait()
    stop_orphans()
    return status


def stop_orphans(grace_seconds: float = STOP_SECONDS) -> None:
    """Stop what descends from this process still, in the end by force: honcho has ended without stopping it.

    Whoever loses its parent meanwhile becomes a child of this process, so it is looked for again and again.
    """
    told: set[int] = set()
    kill_at = time.monotonic() + grace_seconds
    while children := _children(os.getpid()):
        late = time.monotonic() > kill_at
        for process in [*_descendants(children)]:  # all of them first: those of one that has ended are not found
            if late or process not in told:
                told.add(process)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL if late else signal.SIGTERM)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        time.sleep(0.05)


def _descendants(processes: list[int]) -> Iterator[int]:
    for process in processes:
        yield process
        yield from _descendants(_children(process))


def _children(process: int) -> list[int]:
    try:
        found = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    except OSError:  # it has ended, or this system has no such file
        return []
    return [*map(int, found.split())]


if __name__ == "__main__":
    main()
