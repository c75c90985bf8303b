"""Bring the dictionary table of `data/README.md` up to date with `shared/features.py`: `python data/readme.py`.

Generated tables stand between ``<!-- name -->`` and ``<!-- /name -->``; the text around them is written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from shared.features import CUST_ID, CUST_ID_RULE, FEATURES, Feature

README = Path(__file__).with_name("README.md")


def dictionary() -> str:
    """Return the data dictionary as a Markdown table, one row per column."""
    head = ["| column | kind | unit | hard rule | in the distance | meaning |", "|---|---|---|---|---|---|"]
    key = f"| `{CUST_ID}` | id | — | {CUST_ID_RULE} | no | Natural key of the customer |"
    return "\n".join([*head, key, *(_row(f) for f in FEATURES)])


def _row(f: Feature) -> str:
    distance = "yes" if f.in_distance else "no"
    return f"| `{f.name}` | {f.kind} | {f.unit} | {f.rule()} | {distance} | {f.description} |"


def section(text: str, name: str) -> str:
    """Return what stands between the markers of `name` in `text`.

    Raises
    ------
    ValueError
        when the markers are not there exactly once.
    """
    found: list[str] = re.findall(_markers(name), text, flags=re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"markers of {name!r} found {len(found)} times, not once")
    return found[0]


def with_section(text: str, name: str, body: str) -> str:
    """Return `text` with `body` between the markers of `name`; raises as `section` does."""
    section(text, name)
    return re.sub(_markers(name), lambda _: f"<!-- {name} -->\n{body}\n<!-- /{name} -->", text, flags=re.DOTALL)


def _markers(name: str) -> str:
    return rf"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->"


def update(name: str, body: str) -> None:
    """Put `body` between the markers of `name` in the README; raises as `section` does."""
    README.write_text(with_section(README.read_text(encoding="utf-8"), name, body), encoding="utf-8")


@click.command(help=__doc__)
def main() -> None:
    """Write the dictionary table into the README."""
    update("dictionary", dictionary())
    click.echo(f"dictionary of {len(FEATURES) + 1} columns written to {README}")


if __name__ == "__main__":
    main()
