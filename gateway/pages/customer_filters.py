"""Which customers the table shows, as people say it: read from an address, for the form, and in words.

The parameters are those of the API's list (`gateway.schemas.customer_queries`), but that blank ones say nothing, since
a form sends all its fields, and that shares of months are in percent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import urlencode

from gateway.schemas.customer_queries import LIST
from gateway.schemas.queries import QueryReader, Values
from gateway.services.customers.query import LABELS, RANKED, Condition, Op
from gateway.services.errors import InvalidInput
from shared.features import BY_NAME, CUST_ID, FEATURES, Feature, Kind

_TAKEN: Final = tuple(parameter for parameter in LIST if parameter.name not in ("as_of", "fields", "count"))
PARAMETERS: Final = tuple(replace(parameter, read=str, default=None) for parameter in _TAKEN)
"""Of the page: texts, so that what is wrong with one of them is said beside its field."""

_reader = QueryReader(_TAKEN)

_SAID: Final[Mapping[Op, str]] = {
    Op.EQ: "is",
    Op.NE: "is not",
    Op.GT: "more than",
    Op.GTE: "at least",
    Op.LT: "less than",
    Op.LTE: "at most",
    Op.IN: "one of",
    Op.EXISTS: "",
    Op.PREFIX: "begins with",
}


@dataclass(frozen=True, slots=True)
class Range:
    """A pair of fields of the form: a feature from one value to another.

    Attributes
    ----------
    quick : whether it is quick however many customers there are.
    """

    feature: Feature
    quick: bool

    @property
    def least(self) -> str:
        """The parameter with the lower bound."""
        return f"{self.feature.name}[gte]"

    @property
    def most(self) -> str:
        """The parameter with the upper bound."""
        return f"{self.feature.name}[lte]"


RANGES: Final = tuple(
    Range(feature, feature.name in RANKED) for feature in sorted(FEATURES, key=lambda each: each.name not in RANKED)
)
_IN_FORM: Final = {
    f"{CUST_ID}[prefix]",
    "segment",
    "borderline",
    "segment_status",
    *(name for each in RANGES for name in (each.least, each.most)),
}
_OF_ORDER: Final = ("sort", "limit", "cursor")


@dataclass(frozen=True, slots=True)
class Chip:
    """A condition in words, with the address of the same table without it.

    Attributes
    ----------
    values : what it compares with; the template writes them as the field's kind wants it.
    """

    field: str
    label: str
    verb: str
    values: tuple[Any, ...]
    without: str


@dataclass(frozen=True, slots=True)
class TableRequest:
    """What an address asks for.

    Attributes
    ----------
    given : the texts that are not blank, by parameter.
    values : what they mean; empty where there are faults.
    faults : what is wrong with which of them.
    """

    given: Mapping[str, str]
    values: Values
    faults: Mapping[str, str]

    @property
    def carried(self) -> Mapping[str, str]:
        """What the form has no field for, and sends along."""
        return {name: text for name, text in self.given.items() if name not in _IN_FORM and name != "cursor"}

    @property
    def conditions(self) -> Mapping[str, str]:
        """The conditions, as the API takes them."""
        return {name: _of_api(name, text) for name, text in self.given.items() if name not in _OF_ORDER}

    def chips(self) -> Iterator[Chip]:
        """Yield the conditions in words."""
        for name, value in self.values.items():
            if isinstance(value, Condition):
                values = value.value if isinstance(value.value, tuple) else (value.value,)
                yield Chip(value.field, LABELS[value.field], _SAID[value.op], values, self.address(**{name: ""}))

    def address(self, **changes: str) -> str:
        """Return the address of the first page of the table with other parameters; what is blank goes."""
        texts = {name: text for name, text in {**self.given, "cursor": "", **changes}.items() if text}
        return f"/customers?{urlencode(texts)}" if texts else "/customers"

    def sorted_by(self, field: str) -> str:
        """Return the address of the table sorted by a field: the most first, or the other way round if it is already.

        Names go from A to Z first.
        """
        orders = (field, f"-{field}") if field in (CUST_ID, "segment") else (f"-{field}", field)
        return self.address(sort=orders[1] if self.order == orders[0] else orders[0])

    @property
    def order(self) -> str:
        """What it is sorted by, as the parameter says it."""
        return self.given.get("sort", CUST_ID)


def read(query: Values) -> TableRequest:
    """Return what the parameters of the page ask for."""
    given = {name: text.strip() for name, text in query.items() if text.strip()}
    try:
        values = _reader.read((name, _of_api(name, text)) for name, text in given.items())
    except InvalidInput as error:
        return TableRequest(given, {}, faults_of(error))
    return TableRequest(given, values, {each.least: _REVERSED for each in RANGES if _is_reversed(each, values)})


_REVERSED: Final = "the lower end is above the upper one"


def _is_reversed(each: Range, values: Values) -> bool:
    least, most = values.get(each.least), values.get(each.most)
    return least is not None and most is not None and least.value > most.value


def faults_of(error: InvalidInput) -> Mapping[str, str]:
    """Return what is wrong, by parameter."""
    return {each["pointer"].removeprefix("?"): each["detail"] for each in error.errors}


def is_percent(field: str) -> bool:
    """Whether people give values of a field in percent, which the API has as shares."""
    return field in BY_NAME and BY_NAME[field].kind is Kind.FREQUENCY


def _of_api(name: str, text: str) -> str:
    field, _, op = name.partition("[")
    if not is_percent(field) or op == "exists]":
        return text
    return ",".join(_share(part) for part in text.split(","))


def _share(text: str) -> str:
    """Return a percentage as a share; what is no number stays as it is, and is refused as such."""
    try:
        return str(Decimal(text.removesuffix("%")).scaleb(-2))
    except InvalidOperation:
        return text
