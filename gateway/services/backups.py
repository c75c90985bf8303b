"""Backups of the database: why one is refused, and the erasures that came after it was taken.

A backup knows nothing of what was erased later. Whoever restores it brings a list of those erasures along: it has no
ids, only the keyed digests that receipts keep (`services.customers.digest`), so that it can be kept and
sent like any other record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypedDict

import orjson

Progress = Callable[[str, int], None]
"""Told what is being worked on, and how many more bytes or documents of it are done."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


class BackupError(Exception):
    """A backup cannot be taken or restored; the message says why, and what to do."""


class ErasedCustomer(TypedDict):
    """An erasure, as the list of them has it: one JSON object a line."""

    id: str
    digest: str
    requested_at: str
    completed_at: str | None


@dataclass(frozen=True, slots=True)
class LaterErasures:
    """Erasures that a backup may not know.

    Attributes
    ----------
    receipts : by digest, the ids of the receipts of its erasures; None for one of which only the digest is known.
    """

    receipts: Mapping[str, frozenset[str | None]]

    @classmethod
    def read(cls, lines: Iterable[bytes]) -> Self:
        """Read a list: what ``python -m gateway erasures`` printed, events of the feed, or bare digests, line by line.

        Raises
        ------
        BackupError
        """
        receipts: dict[str, frozenset[str | None]] = {}
        for number, line in enumerate(lines, 1):
            if line.strip():
                digest, receipt = _erasure(line.strip(), number)
                receipts[digest] = receipts.get(digest, frozenset()) | {receipt}
        return cls(receipts)

    def after(self, known: Iterable[str]) -> Self:
        """Return those that are not among the receipts of the backup: these were carried out before it was taken.

        So a customer who came back after an erasure, and is in the backup, stays.
        """
        before = frozenset(known)
        left = {digest: receipts - before for digest, receipts in self.receipts.items()}
        return type(self)({digest: receipts for digest, receipts in left.items() if receipts})


def _erasure(line: bytes, number: int) -> tuple[str, str | None]:
    text = line.decode("ascii", "replace")
    if _DIGEST.fullmatch(text):
        return text, None
    try:
        found: Any = orjson.loads(line)
        event = found.get("data")  # of the feed; the receipt is in it
        digest = event["digest"] if isinstance(event, dict) else found["digest"]
        receipt = event["erasure"] if isinstance(event, dict) else found["id"]
    except (orjson.JSONDecodeError, AttributeError, LookupError, TypeError):
        digest = receipt = None
    if not (isinstance(digest, str) and _DIGEST.fullmatch(digest) and isinstance(receipt, str)):
        raise BackupError(
            f"line {number} of the list of erasures is none: each is a line of `python -m gateway erasures`, an event "
            "customer.erased of the feed, or the digest of an erasure (64 hexadecimal digits)"
        )
    return digest, receipt
