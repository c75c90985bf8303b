"""What an import has found, in words for people who do not know the names of columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.services.imports.entries import written
from gateway.services.imports.records import Import, ImportSummary, WarningKind
from shared.customer_files.cells import DECIMAL_COMMA
from shared.customer_files.header import ReadColumn, renamed
from shared.features import BY_NAME, CUST_ID
from shared.model_contract import Drift
from shared.typography import number

_ID: Final = "Customer id"
_SEVERAL: Final = 2
_NAMES: Final = re.compile(rf"\b(?:{'|'.join(sorted((CUST_ID, *BY_NAME), key=len, reverse=True))})\b")

WARNINGS: Final[Mapping[str, str]] = {
    "purchase_identity": "The purchases are not the sum of one-off and instalment purchases",
    "frequency_above_total": "One kind of purchase happens in more months than purchases of any kind",
    "zero_mismatch": "An amount is zero and its number of transactions is not, or the other way round",
    "frequency_above_one": "Cash advances in more months than the customer has been with you",
    "short_tenure": "Customer for less than six months",
    "over_limit": "Owes clearly more than the credit limit",
    "minimum_over_limit": "Minimum payments of more than twice the credit limit",
    "missing_minimum": "Payments, but no minimum payments given: a typical value is assumed for the segment",
    "missing_limit": "No credit limit given: a typical value is assumed for the segment",
    "derived_differs": "The average purchase does not fit the purchases: it was computed anew",
    "outside_training_range": "A value beyond nearly all of those that the segments were made from: is the unit right?",
    "training_range_unknown": "Unusual values were not looked for, because the model could not be asked",
    "decimal_point_among_commas": "A point in a file with decimal commas: 7.500 was read as 7.5, not as 7500",
    "title_lines": "Lines above the names of the columns were skipped",
    "last_line_open": "The last line has no line end: the file may have been cut, with rows or digits missing",
    "alias_ignored": "Two columns could be the same: the other one was left out",
}
"""What each kind of warning means."""

_VERDICTS: Final[Mapping[str, tuple[str, str]]] = {
    "stable": ("good", "The customers in this file look like those that the segments were made from."),
    "watch": (
        "warning",
        "The customers in this file differ a little from those that the segments were made from. The segments still "
        "fit; look again after the next files.",
    ),
    "retrain": (
        "bad",
        "The customers in this file differ a lot from those that the segments were made from. If the file is right, "
        "it is time for new segments; first check units and columns.",
    ),
    "not_enough_data": ("info", "The file has too few customers to say whether they differ from those of before."),
}
_MODES: Final = {"upsert": "Add and update", "insert": "Add new ones only", "mirror": "Make equal to the file"}
_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "running": ("info", "Running"),
    "completed": ("good", "Done"),
    "cancelled": ("warning", "Cancelled"),
    "interrupted": ("bad", "Stopped midway"),
    "failed": ("bad", "Failed"),
}


@dataclass(frozen=True, slots=True)
class Saying:
    """Words with a tone: info, good, warning or bad."""

    tone: str
    text: str


@dataclass(frozen=True, slots=True)
class Remark:
    """A kind of warning: what it means, how many values or rows, in which columns, and the first lines."""

    text: str
    count: int
    columns: str
    lines: str


def label(column: str | None) -> str:
    """Return what people call a column; of none, the whole row."""
    if column is None:
        return "Whole row"
    return _ID if column == CUST_ID else BY_NAME[column].label if column in BY_NAME else column


def plain(text: str) -> str:
    """Return a sentence with what people call the columns in the place of their names."""
    return _NAMES.sub(lambda found: f"“{label(found[0])}”", text)


def state(record: ImportSummary) -> Saying:
    """Return how it stands with an import, in a word or two."""
    tone, text = _STATES[record["status"]]
    if record["status"] == "completed":
        if record["dry_run"]:
            return Saying("info", "Checked")
        if record["rejected"]:
            return Saying("warning", "Done, with refused rows")
    return Saying(tone, text)


def what(record: ImportSummary) -> str:
    """Return what an import is for."""
    if record["dry_run"]:
        return "Check, nothing written"
    return {"upsert": "Add and update", "insert": "Add new ones only", "mirror": "Make equal to the file"}[
        record["mode"]
    ]


def remarks(record: Import) -> list[Remark]:
    """Return the warnings of a file, the most frequent kind first."""
    return [_remark(kind) for kind in record["warnings"]]


def _remark(kind: WarningKind) -> Remark:
    text = WARNINGS.get(kind["code"]) or plain(kind["examples"][0]["detail"])
    columns = [label(found["column"]) for found in kind["columns"] if found["column"] is not None]
    lines = [str(example["line"]) for example in kind["examples"] if example["line"] is not None]
    more = ", …" if lines and kind["count"] > len(kind["examples"]) else ""
    return Remark(text, kind["count"], ", ".join(columns), ", ".join(dict.fromkeys(lines)) + more)


def common_fault(record: Import) -> str | None:
    """Return what is wrong with most rows of a file, where it is the same with most of those that are listed."""
    faults = record["errors"]
    if len(faults) < _SEVERAL or 2 * record["rejected"] <= record["rows"]:
        return None
    lines = Counter(detail for _, detail in {(fault["line"], fault["detail"]) for fault in faults})
    ((detail, count),) = lines.most_common(1)
    if 2 * count <= len({fault["line"] for fault in faults}):
        return None
    if detail == DECIMAL_COMMA:
        return "Numbers in this file have decimal commas; save it with decimal points."
    columns = list(dict.fromkeys(label(fault["column"]) for fault in faults if fault["detail"] == detail))
    return f"Most rows are refused for the same reason: {', '.join(columns)} {plain(detail)}."


def verdict(drift: Drift) -> Saying:
    """Return how far a file is from the customers that the segments were made from."""
    return Saying(*_VERDICTS[drift["verdict"]])


def shifted(drift: Drift) -> list[str]:
    """Return in what the customers of a file differ most."""
    return [label(feature["feature"]) for feature in drift["features"] if feature["tier"] in ("material", "severe")]


def read_otherwise(columns: Sequence[ReadColumn]) -> list[tuple[str, str]]:
    """Return the columns that stand under another name in the file: what people call them, and that name."""
    return [(label(column), written) for column, written in renamed(columns)]


def written_page(record: Import) -> str | None:
    """Return the address of the table of the customers that an import wrote, None where it wrote none or still runs."""
    address = None if record["status"] == "running" else written(record)
    return address and address.removeprefix("/api/v1")


def restorable(days: int) -> str:
    """Return for how long a deleted customer can be restored: the rest of a sentence."""
    return f"can be restored for {days} day{'' if days == 1 else 's'}" if days else "cannot be restored"


def own_name(columns: Sequence[ReadColumn], column: str | None) -> str | None:
    """Return what the file itself calls a column, None where that is not known."""
    return next((read["read_from"] for read in columns if read["column"] == column), None)


def missing(record: Import, days: int) -> Saying | None:
    """Return what becomes of the customers that a mirrored file does not have."""
    mirror = record["mirror"]
    if mirror is None:
        return None
    stored = f"{number(mirror['missing'])} of your {number(mirror['stored'])} stored customers"
    if not mirror["missing"]:
        return Saying("good", "No stored customer is missing in the file: nobody is deleted.")
    if mirror["refused"]:
        return Saying("bad", f"{stored} are not in the file, but nobody is deleted: {plain(mirror['refused'])}.")
    if record["dry_run"]:
        return Saying("warning", f"{stored} are not in the file and would be deleted. Then each {restorable(days)}.")
    return Saying("warning", f"{stored} were not in the file; {number(record['deleted'])} were deleted.")
