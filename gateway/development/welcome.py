"""The last process that ``make run`` starts: loads the sample into an empty database and says where to look."""

from __future__ import annotations

import signal
import time

import click
import requests

from gateway.development.credentials import API_KEY, one_time_address, working_key
from gateway.settings import read_settings

START_SECONDS = 60.0
LOADING_SECONDS = 120.0
COUNTED_SECONDS = 10.0
WITH_SAMPLE = "SAMPLE"
"""The variable that says whether the sample is loaded (yes or no)."""


@click.command()
@click.option("--load/--no-load", envvar=WITH_SAMPLE, default=True, help="Whether to load it into an empty database.")
def main(load: bool) -> None:
    """Wait for both tiers, load the sample into an empty database, print address and key, then stay out of the way."""
    settings = read_settings()  # checked already by whoever started us
    base = f"http://{settings.host}:{settings.port}"
    with requests.Session() as session:
        wait_until_ready(session, base)
        key = working_key(session, base)
        session.headers["Authorization"] = f"Bearer {key}"
        empty = not session.get(f"{base}/api/v1/customers", params={"limit": 1}, timeout=10).json()["items"]
        if empty and load:
            load_sample(session, base)
            wait_until_counted(session, base)
        sample = session.get(f"{base}/api/v1/sample", timeout=10).json()
    click.echo(f"Ready: {base}/  (Ctrl-C stops everything; the data stay in .data/)")
    click.echo(f"Open:  {one_time_address(base, key)}")
    click.echo(f"       It signs you in once, within the hour. Later, sign in with the key in {API_KEY}")
    if sample["customers"]:
        span = f"{sample['first']} to {sample['last']}"
        click.echo(f"Data:  with the sample, {span}; a database without any: make run SAMPLE=no. To remove it:")
        click.echo(f"       curl -X DELETE -H 'Authorization: Bearer {key}' {base}/api/v1/sample")
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


def load_sample(session: requests.Session, base: str) -> None:
    """Load the sample.

    Raises
    ------
    click.ClickException
    """
    answer = session.post(f"{base}/api/v1/sample", timeout=LOADING_SECONDS)
    if not answer.ok:
        raise click.ClickException(f"the sample was not loaded: {answer.text}")
    click.echo(f"Loaded the sample: {answer.json()['created']} customers")


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
