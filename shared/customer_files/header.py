"""How a file may name the columns of the data dictionary.

Letter case, spaces, hyphens, underscores, points and slashes do not matter, nor whether an umlaut is one character or
two: ``Credit limit`` is ``CREDIT_LIMIT``.
Beside that, a few names stand for a column because exports of card systems and copies of the public data use them, and
a caller may say which name stands for which column.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import TypedDict

from shared.customer_files.rows import FileRefused, RowWarning
from shared.features import CUST_ID, FEATURES, INPUT_NAMES, INPUTS
from shared.problems import FieldError

ALIASES: Mapping[str, Sequence[str]] = {
    CUST_ID: ("ID", "CUSTOMER", "CUSTOMER_ID", "CUSTOMER_NO", "CUSTOMER_NUMBER", "CLIENT_ID"),
    "PURCHASES": ("PURCHASE",),
    "ONEOFF_PURCHASES": ("ONEOFF_PURCHASE",),
    "INSTALLMENTS_PURCHASES": ("INSTALLMENT_PURCHASES", "INSTALMENT_PURCHASES", "INSTALMENTS_PURCHASES"),
    "CASH_ADVANCE": ("CASH_ADVANCES",),
    "PURCHASES_FREQUENCY": ("PURCHASE_FREQUENCY",),
    "ONEOFF_PURCHASES_FREQUENCY": ("ONEOFF_PURCHASE_FREQUENCY",),
    "PURCHASES_INSTALLMENTS_FREQUENCY": (
        "PURCHASE_INSTALLMENT_FREQUENCY",
        "PURCHASES_INSTALLMENT_FREQUENCY",
        "PURCHASES_INSTALMENTS_FREQUENCY",
    ),
    "CASH_ADVANCE_TRX": ("CASH_ADVANCE_TRANSACTIONS",),
    "PURCHASES_TRX": ("PURCHASE_TRX", "PURCHASE_TRANSACTIONS", "PURCHASES_TRANSACTIONS"),
    "PAYMENTS": ("PAYMENT",),
    "MINIMUM_PAYMENTS": ("MINIMUM_PAYMENT", "MIN_PAYMENT", "MIN_PAYMENTS"),
    "PRC_FULL_PAYMENT": ("PERCENT_FULL_PAYMENT", "PRC_FULL_PAYMENTS"),
    "TENURE": ("TENURE_MONTHS",),
}
"""Other names of columns; to be compared folded (`fold`), like all names."""

_separators = re.compile(r"[\s_./\ufeff-]+")


def fold(name: str) -> str:
    """Return what is compared of a column's name."""
    return _separators.sub("", unicodedata.normalize("NFC", name)).upper()


_NAMES = (CUST_ID, *(feature.name for feature in FEATURES))
_EXACT: Mapping[str, str] = {fold(name): name for name in _NAMES}
_COLUMNS: Mapping[str, str] = {
    **_EXACT,
    **{fold(written): name for name in _NAMES for written in ALIASES.get(name, ())},
}

ColumnMapping = Mapping[str, str]
"""How a caller says that the file names columns: the name in the file by the column of the data dictionary."""


class ReadColumn(TypedDict):
    """A column of the data dictionary, and the name of that of the file which it is read from."""

    column: str
    read_from: str


@dataclass(frozen=True, slots=True)
class Header:
    """What a table's header says.

    Attributes
    ----------
    names : of all columns, as they are written.
    places : where each column of the data dictionary stands, from 0.
    ignored : the columns that the data dictionary does not know, or that another one goes before, as they are written.
    missing : the inputs that must be there and are not; CUST_ID and what may be null are not among them.
    twice : the columns that are there more than once with the same right, and how they are written.
    beside : the ignored columns that might have meant a column of the data dictionary, and which one.
    unmapped : the columns that the caller named, and that the file does not have, with the names given.
    """

    names: Sequence[str]
    places: dict[str, int] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    twice: dict[str, list[str]] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)
    unmapped: dict[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[ReadColumn]:
        """Which column is read from which of the file's."""
        return [
            ReadColumn(column=name, read_from=_clean(self.names[self.places[name]]))
            for name in _NAMES
            if name in self.places
        ]

    def faults(self, *, id_required: bool) -> list[FieldError]:
        """Return why the customers of the table cannot be read."""
        absent = dict.fromkeys(([CUST_ID] if id_required and CUST_ID not in self.places else []) + self.missing)
        found = dict.fromkeys(absent, "column is missing")
        found |= {
            name: f"column is there twice: {' and '.join(map(repr, names))}" for name, names in self.twice.items()
        }
        found |= {name: f"column is to be read from {was!r}, which is missing" for name, was in self.unmapped.items()}
        return [FieldError(pointer=f"/{name}", detail=detail) for name, detail in found.items()]


def read_header(names: Sequence[str], mapping: ColumnMapping | None = None) -> Header:
    """Find the columns of the data dictionary among a table's columns.

    What the caller says goes before a column's own name, and that before any other name that stands for it.
    """
    header = Header(names)
    mapped, taken = mapping or {}, dict[int, str]()
    for column, written in mapped.items():
        places = _places_of(written, names)
        taken |= dict.fromkeys(places, column)
        if not places:
            header.unmapped[column] = written
    candidates: dict[str, list[tuple[int, int]]] = {}  # by column: (rank, place)
    for place, name in enumerate(names):
        folded = fold(name)
        if column := taken.get(place) or _COLUMNS.get(folded, ""):
            rank = 0 if place in taken else 1 if folded in _EXACT else 2
            candidates.setdefault(column, []).append((rank, place))
        else:
            header.ignored.append(name)
    for column, found in candidates.items():
        best = 0 if column in mapped else min(found)[0]
        _take(header, column, [place for rank, place in found if rank == best])
        for rank, place in found:
            if rank != best:
                header.ignored.append(names[place])
                header.beside[names[place]] = column
    header.missing.extend(
        f.name for f in INPUTS if not f.nullable and f.name not in header.places and f.name not in header.unmapped
    )
    return header


def _take(header: Header, column: str, places: Sequence[int]) -> None:
    if places:
        header.places[column] = places[0]
    if len(places) > 1:
        header.twice[column] = [_clean(header.names[place]) for place in places]


def _places_of(written: str, names: Sequence[str]) -> list[int]:
    """Return where the columns of a name stand; letter case and the like matter only if one is written just so."""
    same = [place for place, name in enumerate(names) if _clean(name) == _clean(written)]
    return same or [place for place, name in enumerate(names) if fold(name) == fold(written)]


def _clean(name: str) -> str:
    return name.strip().strip("\ufeff")


def known_names(names: Sequence[str], mapping: ColumnMapping | None = None) -> int:
    """Return how many of a table's columns the data dictionary knows: the best cut of a header has most of them."""
    known = _COLUMNS.keys() | {fold(written) for written in (mapping or {}).values()}
    return len({fold(name) for name in names} & known)


def renamed(columns: Iterable[ReadColumn]) -> list[tuple[str, str]]:
    """Return the columns that are read from others than of their own name, with those names."""
    return [(c["column"], c["read_from"]) for c in columns if fold(c["read_from"]) != fold(c["column"])]


COLUMNS_HELP = (
    "How the file names columns that would not be understood, such as CUST_ID:ACCOUNT_NO,BALANCE:Saldo; a part with a "
    "comma in it stands in double quotes"
)
COLUMNS_RULE = (
    "must name columns as COLUMN:NAME, with commas between them, such as CUST_ID:ACCOUNT_NO,BALANCE:Saldo; "
    "a part with a comma in it stands in double quotes"
)


def read_mapping(text: str) -> ColumnMapping:
    """Return the mapping that a text such as ``CUST_ID:ACCOUNT_NO,BALANCE:Saldo`` says.

    Raises
    ------
    ValueError
        saying what the text must be.
    """
    try:
        parts = next(csv.reader([text], strict=True, skipinitialspace=True), [])
    except csv.Error:
        raise ValueError(COLUMNS_RULE) from None
    mapping: dict[str, str] = {}
    for part in parts:
        written, colon, name = (piece.strip() for piece in part.partition(":"))
        column = _EXACT.get(fold(written), "")
        if not colon or not name:
            raise ValueError(COLUMNS_RULE)
        if column not in (CUST_ID, *INPUT_NAMES):
            raise ValueError(f"must name columns of the data dictionary, of which {written[:64]!r} is none")
        if column in mapping or fold(name) in map(fold, mapping.values()):
            raise ValueError("must not name a column twice")
        mapping[column] = name
    if not mapping:
        raise ValueError(COLUMNS_RULE)
    return mapping


_SHOWN_NAMES = 20
_SHOWN_CHARACTERS = 64  # an id has no more, so that none is cut


def shown(names: Sequence[str]) -> str:
    """Return names in words."""
    first = ", ".join(repr(name[:_SHOWN_CHARACTERS]) for name in names[:_SHOWN_NAMES])
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return f"{len(names)} column{'' if len(names) == 1 else 's'}, {first}{more}"


def misfit(header: Header, faults: Sequence[FieldError], place: str, separated: str = "") -> FileRefused:
    """Return the refusal of a file for its columns, with how they were read.

    Parameters
    ----------
    place : what was read, such as ``line 1``.
    separated : by what the names were separated.
    """
    wrong = "; ".join(f"{fault['pointer'].removeprefix('/')} {fault['detail']}" for fault in faults)
    if not header.places and not header.unmapped:
        wrong = "none of them is a column of the data dictionary"
    separated = f", separated by {separated}" if separated and len(header.names) > 1 else ""
    read = f"{place} was read as {shown(header.names)}{separated}"
    encoding = " Its characters shown as \ufffd are not in UTF-8: save the file as UTF-8." if "\ufffd" in read else ""
    return FileRefused(f"The header does not fit: {read}. {wrong[0].upper()}{wrong[1:]}.{encoding}", faults)


def alias_warnings(beside: Mapping[str, str]) -> list[RowWarning]:
    """Return warnings of the columns that might have meant one of the data dictionary (`Header.beside`)."""
    return [
        RowWarning(
            line=None,
            code="alias_ignored",
            column=column,
            detail=f"could also be read from {_clean(name)!r}, which is ignored: another column goes before it",
        )
        for name, column in beside.items()
    ]
