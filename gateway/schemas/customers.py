"""marshmallow schemas of customers, generated from the data dictionary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from marshmallow import Schema, ValidationError, fields, missing

from gateway.schemas.times import parse_time
from gateway.services.customers.batches import MAX_ROWS, BatchRow, InvalidRow
from gateway.services.customers.bulk_writes import Mode
from gateway.services.customers.customer import ADDED, ASSIGNED, PENDING, Assignment
from gateway.services.errors import InvalidInput
from shared.features import CUST_ID, FEATURES, Feature, cust_id_fault
from shared.problems import FieldError


class CheckedField(fields.Field[Any]):
    """A field with a rule of the data dictionary.

    Parameters
    ----------
    feature : whose value it is; None for the CUST_ID.
    """

    def __init__(self, feature: Feature | None = None, **options: Any) -> None:
        optional = feature is not None and (feature.nullable or feature.derive is not None)
        options = {"required": not optional, "allow_none": optional, **options}
        super().__init__(error_messages={"required": "is missing", "null": "must not be null"}, **options)
        self.feature = feature
        self.fault: Callable[[object], str | None] = feature.fault if feature else cust_id_fault
        """Says which rule a value that is not null breaks."""
        self.normal: Callable[[Any], Any] = feature.normal if feature else str
        """Returns a faultless value in its stored form."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if fault := self.fault(value):
            raise ValidationError(fault)
        return self.normal(value)


class ShownField(fields.Field[Any]):
    """What the service adds to a customer in its answers: it may be sent back, in the form in which it was answered."""

    def __init__(self, name: str) -> None:
        super().__init__(allow_none=True)
        self._read = _SHOWN.get(name, parse_time)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return self._checked(value)

    def deserialize(self, value: Any, *arguments: Any, **options: Any) -> Any:
        """Return the value as stored customers have it; null is a value like others here."""
        return self._checked(value) if value is None else super().deserialize(value, *arguments, **options)

    def _checked(self, value: Any) -> Any:
        try:
            return self._read(value)
        except (ValueError, TypeError):
            detail = "is set by the service: send it back as it was answered, or leave it out"
            raise ValidationError(detail) from None


def _segment(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != set(Assignment.__annotations__):
        raise ValueError("no segment of a customer")
    return {**value, **{name: parse_time(value[name]) for name in ("assigned_at", "since")}}


def _status(value: Any) -> Any:
    if value not in (ASSIGNED, PENDING):
        raise ValueError("no status")
    return value


def _of_type(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError("of another type")
        return value

    return read


_SHOWN: Mapping[str, Callable[[Any], Any]] = {
    "segment": _segment,
    "segment_status": _status,
    "revision": _of_type(str),
    "seq": _of_type(int),
    "warnings": _of_type(list),
}
"""How members of the service are read; the others are times."""


class StrictSchema(Schema):
    """A schema that names unknown fields and wrong shapes in plain words."""

    error_messages = {"unknown": "is not a known field", "type": "must be an object"}  # noqa: RUF012  # marshmallow's own attribute

    def __init__(self) -> None:
        super().__init__()
        self._checked = [(name, field) for name, field in self.fields.items() if isinstance(field, CheckedField)]

    def load(self, data: Any, **options: Any) -> Any:
        """Return what `data` says; a faultless customer alone, as nearly all are, without marshmallow's machinery.

        That takes 15 µs instead of 90, a fifth of a prediction and most of a batch; a test proves that both agree.
        """
        loaded = None if options else self._faultless(data)
        return super().load(data, **options) if loaded is None else loaded

    def _faultless(self, data: Any) -> dict[str, Any] | None:
        """Return the customer, or None if anything at all is wrong with it."""
        if type(data) is not dict:
            return None
        loaded: dict[str, Any] = {}
        for name, field in self._checked:
            value = data.get(name, missing)
            if value is missing:
                sound = not field.required
            elif value is None:
                sound = bool(field.allow_none)
                loaded[name] = None
            else:
                sound = not field.fault(value)
                loaded[name] = field.normal(value) if sound else None
            if not sound:
                return None
        return loaded if len(loaded) == len(data) else None


def customer_schema(features: Sequence[Feature] = FEATURES, *, id_required: bool = True) -> Schema:
    """Return the schema of a whole customer: create, replace, predict."""
    members: dict[str, fields.Field[Any]] = {f.name: CheckedField(f) for f in features}
    own = {CUST_ID: CheckedField(required=id_required), **members}
    return StrictSchema.from_dict(own | _shown(), name="Customer")()


def patch_schema(features: Sequence[Feature] = FEATURES) -> Schema:
    """Return the schema of a merge patch (RFC 7396): any fields; null clears the nullable ones."""
    members: dict[str, fields.Field[Any]] = {f.name: CheckedField(f, required=False) for f in features}
    return StrictSchema.from_dict({CUST_ID: CheckedField(required=False), **members} | _shown(), name="CustomerPatch")()


def _shown() -> dict[str, fields.Field[Any]]:
    return {name: ShownField(name) for name in ADDED}


def field_errors(error: ValidationError, prefix: str = "") -> list[FieldError]:
    """Return marshmallow's messages as (JSON pointer, detail) pairs."""
    return list(_flat(error.messages, prefix))


def _flat(messages: Any, pointer: str) -> Iterator[FieldError]:
    """Yield what is said of the value at `pointer` and, where that is a list or an object, of its parts."""
    if isinstance(messages, dict):
        for name, inner in messages.items():
            yield from _flat(inner, pointer + _pointer(str(name)))
    else:
        yield from (FieldError(pointer=pointer, detail=str(detail)) for detail in messages)


def _pointer(name: str) -> str:
    if name == "_schema":  # about the whole value
        return ""
    return "/" + name.replace("~", "~0").replace("/", "~1")


IF_REVISION = "if_revision"
"""Beside a row's features: the revision that the stored customer must have, as If-Match says for one customer."""

_customer = customer_schema()


def load_rows(body: Any, mode: Mode) -> list[BatchRow | InvalidRow]:
    """Return the rows of a batch, checked one by one.

    Raises
    ------
    InvalidInput
        when the body is not a batch at all.
    """
    customers = body.get("customers") if isinstance(body, dict) else None
    if not isinstance(customers, list) or len(body) > 1 or not 1 <= len(customers) <= MAX_ROWS:
        detail = f"must be an array of 1 to {MAX_ROWS} customers, alone in the body"
        raise InvalidInput([FieldError(pointer="/customers", detail=detail)])
    return [_row(place, sent, mode) for place, sent in enumerate(customers)]


def _row(place: int, sent: Any, mode: Mode) -> BatchRow | InvalidRow:
    revision, faults = None, []
    prefix = f"/customers/{place}"
    if isinstance(sent, dict) and IF_REVISION in sent:
        sent = dict(sent)
        revision = sent.pop(IF_REVISION)
        if fault := _revision_fault(revision, mode):
            faults = [FieldError(pointer=f"{prefix}/{IF_REVISION}", detail=fault)]
    try:
        features = _customer.load(sent)
    except ValidationError as error:
        faults += field_errors(error, prefix)
    if faults:
        given = sent.get(CUST_ID) if isinstance(sent, dict) else None
        return InvalidRow(None if cust_id_fault(given) else given, InvalidInput(faults))
    return BatchRow(features.pop(CUST_ID), features, revision)


def _revision_fault(revision: object, mode: Mode) -> str | None:
    if not isinstance(revision, str):
        return "must be a string"
    return "can only be asked for with mode=upsert" if mode is Mode.INSERT else None
