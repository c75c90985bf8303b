"""Looks through the logs of a whole test run for what no log may hold. `tests/conftest.py` lets it at all of them.

What is looked for are kinds, so that a new place that says too much is found whatever it says: keys and tokens by their
form, addresses with an id in them, query strings, features with their values as documents are printed, our own
sentences with a customer's name in them. And the customers of both data sets, by id and by values, which the tests of
whole systems write everywhere.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from shared.features import CUST_ID, INPUT_NAMES

LOG_FILES = ("*.log", "log.txt")
"""How tests call the files that processes write to; the second is the log of a training."""
_OF_TRAININGS = "log.txt"
"""A resource of the API for those who train: it may say which ids a file has twice, and an erasure reaches it."""

SECRETS = (
    "dC9sQm3bYb1Zk7vJx2TqLw8RnHfGp5Ae",
    "v7Tq2LmXe9RkWb4YzNc6HdJs8PfGu3Ao",
    "xKq7vN2mRt9bWc4LzEh6JdYs8PfGu3Ao",
)
"""What tests of production give GATEWAY_SECRET_KEY and MODEL_SERVICE_SECRET."""

_NAMES = "|".join([CUST_ID, *INPUT_NAMES])
_KINDS = {
    "an API key": r"csk_[A-Za-z0-9]{6,}_[A-Za-z0-9]{8,}",
    "a token": r"\beyJ[\w-]{8,}\.[\w-]+",
    "an address that signs in": r"\bcst_[\w-]{20,}",
    "a cookie": r"\b(?:session|sign-in)=[\w.-]{20,}",
    "credentials": r"\b(?:[Bb]earer|Basic) [A-Za-z0-9._~+/-]{12,}",
    "a secret": "|".join(SECRETS),
    "an address with a CUST_ID": r"/(?:deleted-)?customers/(?!batch\b|delete\b|export\b|\w+\.py\b)[A-Za-z0-9%]",
    "a query string": r"/[\w/-]+\?[\w\[\]%]+=",
    "a cursor": r"\bcursor['\"]?\s*[=:]\s*['\"]?[\w-]{16,}",
    "a document": rf"\b(?:{_NAMES})\\?['\"]?\s*[:=]\s*\\?['\"]?(?:-?\d|[A-Za-z]\w*\d)",
    "a customer's name": r"[Cc]ustomer '[^']+'|CUST_ID '[^']+'",
}
_ANY = re.compile("|".join(f"(?P<k{n}>{pattern})" for n, pattern in enumerate(_KINDS.values())))
_WORD = re.compile(r"\b[A-Z]{1,2}\d{5}\b|\b\d+\.\d{5,6}\b")
"""How an id of the data sets looks, or a value of one with so many decimals that it is nothing else."""
_NAMED = [*_KINDS]


class Found(NamedTuple):
    """Something that no log may hold."""

    where: str
    line: int
    what: str
    text: str


def search(where: str, lines: Iterable[str], words: frozenset[str]) -> Iterator[Found]:
    """Yield what is found in the lines of a log; `words` are ids and values."""
    for number, line in enumerate(lines, 1):
        if found := _ANY.search(line):
            yield Found(where, number, _NAMED[int((found.lastgroup or "k0")[1:])], line.strip()[:500])
        elif known := words.intersection(_WORD.findall(line)):
            yield Found(where, number, f"of the data sets: {', '.join(sorted(known))}", line.strip()[:500])


def search_files(folder: Path, words: frozenset[str]) -> Iterator[Found]:
    """Yield what is found in the log files below a folder."""
    for pattern in LOG_FILES:
        for file in sorted(folder.rglob(pattern)):
            if file.is_file():
                with file.open(encoding="utf-8", errors="replace") as lines:
                    yield from search(str(file), lines, frozenset() if pattern == _OF_TRAININGS else words)


_OURS = re.compile(r'\{"time":"|\d{4}-\d\d-\d\dT[\d:.]+Z [A-Z]+ \[')
"""How a line of ours begins; tests print to standard error as well."""


def search_report(report: Any, words: frozenset[str]) -> Iterator[Found]:
    """Yield what is found in what a test, and the processes that wrote where it does, wrote to standard error."""
    for name, content in report.sections:
        if name.startswith("Captured stderr"):
            lines = [line if _OURS.match(line) else "" for line in content.splitlines()]
            yield from search(f"{report.nodeid}, {name}", lines, words)


@cache
def words_of(*files: Path) -> frozenset[str]:
    """Return the ids and the long values of the customers in CSV files, as far as these are there."""
    found: set[str] = set()
    for file in files:
        if file.exists():
            with file.open(encoding="utf-8", newline="") as lines:
                for row in csv.DictReader(lines):
                    found.update(value for value in row.values() if _WORD.fullmatch(value or ""))
    return frozenset(found)
