"""The last process that ``make run`` starts: loads the sample into an empty database and says where to look."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import requests

from gateway.development.credentials import API_KEY, one_time_address, working_key
from gateway.settings import read_settings

START_SECONDS = 60.0
COUNTED_SECONDS = 10.0
WITH_SAMPLE = "SAMPLE"
"""The variable that says whether the sample is loaded (yes or no)."""

FIRST, LAST = "S00001", "S06000"
"""The ids of the sample (data/README.md)."""
WHOLE = f"CUST_ID[gte]={FIRST}&CUST_ID[lte]={LAST}&confirm=6000"
"""The query that deletes it, and nothing at all where other customers have come into its range."""


@click.command()
@click.argument("sample", type=click.Path(exists=True, path_type=Path))
@click.option("--load/--no-load", envvar=WITH_SAMPLE, default=True, help="Whether to load it into an empty database.")
def main(sample: Path, load: bool) -> None:
    """Wait for both tiers, load SAMPLE into an empty database, print address and key, then stay out of the way."""
    settings = read_settings()  # checked already by whoever started us
    base = f"http://{settings.host}:{settings.port}"
    with requests.Session() as session:
        wait_until_ready(session, base)
        key = working_key(session, base)
        session.headers["Authorization"] = f"Bearer {key}"
        empty = not session.get(f"{base}/api/v1/customers", params={"limit": 1}, timeout=10).json()["items"]
        if empty and load:
            subprocess.run([sys.executable, "-m", "gateway", "import", str(sample)], check=True)  # noqa: S603  # ourselves
            wait_until_counted(session, base)
        there = session.get(f"{base}/api/v1/customers/{FIRST}", timeout=10).ok
    click.echo(f"Ready: {base}/  (Ctrl-C stops everything; the data stay in .data/)")
    click.echo(f"Open:  {one_time_address(base, key)}")
    click.echo(f"       It signs you in once, within the hour. Later, sign in with the key in {API_KEY}")
    if there:
        click.echo(
            f"Data:  with the sample, {FIRST} to {LAST}; a database without any: make run SAMPLE=no. To remove it:"
        )
        click.echo(f"       curl -g -X DELETE -H 'Authorization: Bearer {key}' '{base}/api/v1/customers?{WHOLE}'")
    elif empty:
        click.echo("Data:  no customers. The model is that of the sample until you train your own (docs/operations.md)")
    click.echo(f"Key:   in {API_KEY}, opens everything; POST /api/v1/api-keys makes others")
    click.echo(f"Try:   curl -s -H 'Authorization: Bearer {key}' '{base}/api/v1/customers?limit=1'")
    signal.pause()  # honcho stops everything when a process ends


def wait_until_ready(session: requests.Session, base: str, seconds: float = START_SECONDS) -> None:
    """Wait until the gateway takes writes and reaches the model service.

    Raises
    ------
    click.ClickException
        with the gateway's last answer, when that takes too long.
    """
    give_up_at = time.monotonic() + seconds
    last = "no answer"
    while time.monotonic() < give_up_at:
        try:
            answer = session.get(f"{base}/health/ready", timeout=10)
            last = answer.text
            if answer.ok and answer.json()["model_service"] == "ok":
                return
        except requests.RequestException as error:
            last = str(error)
        time.sleep(0.1)
    raise click.ClickException(f"not ready after {seconds:g} s: {last}")


def wait_until_counted(session: requests.Session, base: str, seconds: float = COUNTED_SECONDS) -> None:
    """Wait a moment until the worker has counted what is stored: the tour begins with the sizes of the segments."""
    give_up_at = time.monotonic() + seconds
    stored = session.get(f"{base}/api/v1/customers", params={"limit": "1", "count": "exact"}, timeout=10).json()[
        "total"
    ]
    while time.monotonic() < give_up_at:
        answer = session.get(f"{base}/api/v1/segments", timeout=10)
        if answer.ok and answer.json()["customers"] == stored:
            return
        time.sleep(0.1)


if __name__ == "__main__":
    main()
