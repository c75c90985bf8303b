"""A customer: its document as it is stored, the states it can be in, and everything that makes one of another.

The features stand in the document beside the members that are declared here. They are those of the data dictionary
(`shared.features.FEATURES`), so that a new one needs no entry here: a constructor takes them in as they are, and
`inputs_of` and `same_features` read them by name.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NotRequired, TypedDict, TypeVar, cast

from gateway.services.clock import later_than, now
from gateway.services.errors import InvalidInput
from gateway.services.events.change import Cause, ChangeType, Due, Entry, Origin, SegmentChange, Subject
from shared.features import CUST_ID, INPUT_NAMES, complete, lacking
from shared.findings import Finding
from shared.problems import FieldError

SegmentStatus = Literal["assigned", "pending"]
ASSIGNED: Final = "assigned"
PENDING: Final = "pending"
"""There is no segment yet; the worker assigns it as soon as the model service answers."""

Features = Mapping[str, Any]
"""A customer's features by column name, in stored form (`shared.features.complete`)."""


class Placement(TypedDict):
    """The segment that the model puts a customer in. ``rival`` is a segment id or None."""

    id: str
    confidence: float
    rival: str | None
    model_version: str
    assigned_at: datetime


class Assignment(Placement):
    """The segment a customer is in, as stored with the customer: also since when it has been in it, and why.

    ``assigned_at`` is renewed with every assignment, ``since`` and ``cause`` only where it is to another segment.
    ``cause`` is null where the customer was there before causes were kept.
    """

    since: datetime
    cause: Cause | None


class Customer(TypedDict):
    """A stored customer, as it is shown. Beside these members it has every feature; times are UTC.

    ``revision`` changes with every write, ``updated_at`` only where the features do. ``seq`` is the number of the
    latest entry of the change log about this customer, since its CUST_ID was last created.
    """

    CUST_ID: str
    segment: Assignment | None
    segment_status: SegmentStatus
    revision: str
    created_at: datetime
    updated_at: datetime
    seq: int


class StoredCustomer(Customer):
    """A customer with what nobody is shown: why a pending one is due, and the entries that wait for the relay.

    A store is given ``outbox`` with a customer that it inserts, and returns it with one that it deletes. Otherwise it
    is the relay's, and no reader sees it.
    """

    due: NotRequired[Due]
    outbox: NotRequired[list[Entry]]


class DeletedCustomer(StoredCustomer):
    """A customer as it was when it was deleted, and until when it can be restored."""

    deleted_at: datetime
    expires_at: datetime


CustomerPart = Mapping[str, Any]
"""Some members of a `Customer`: CUST_ID and those that a reader wants."""


@dataclass(frozen=True, slots=True)
class Update:
    """The next revision of a stored customer: what of it is written, and its entry in the change log.

    Attributes
    ----------
    old : the customer as it was read; nothing is written if it has another revision by now.
    members : the members that change, with their new values.
    dropped : the members that it loses.
    entry : None where the change is part of a digest alone.
    """

    old: StoredCustomer
    members: Mapping[str, Any]
    entry: Entry | None = None
    dropped: Sequence[str] = ()

    @property
    def customer(self) -> StoredCustomer:
        """The customer as it will be."""
        new = {**self.old, **self.members}
        for name in self.dropped:
            new.pop(name, None)
        return cast(StoredCustomer, new)


Shown = TypeVar("Shown", bound=StoredCustomer)


def shown(customer: Shown) -> Shown:
    """Return the customer without what nobody is shown."""
    kept: dict[str, Any] = {**customer}
    kept.pop("due", None)
    kept.pop("outbox", None)
    return cast(Shown, kept)


def new_revision() -> str:
    """Return an unguessable revision; a counter would repeat after a delete and let a stale If-Match through."""
    return secrets.token_hex(8)


def new_customer(
    cust_id: str,
    features: Features,
    placement: Placement | None,
    origin: Origin,
    cause: Cause = "customer_data",
) -> StoredCustomer:
    """Return the document of a customer that was not stored before, with the entry of its creation."""
    (customer,) = new_customers({cust_id: features}, {cust_id: placement}, origin, cause)
    return customer


def new_customers(
    features: Mapping[str, Features],
    placements: Mapping[str, Placement | None],
    origin: Origin,
    cause: Cause = "customer_data",
) -> list[StoredCustomer]:
    """Return the documents of many customers that were not stored before, each with its entry.

    Those of an import have none: its digest covers them.
    """
    at, text, reason = now(), secrets.token_hex(8 * len(features)), reason_of(origin, cause)
    with_entry = cause != "import"
    new = []
    for place, (cust_id, of_one) in enumerate(features.items()):
        segment = _assignment(None, placements[cust_id], at, cause)
        document = {
            CUST_ID: cust_id,
            **of_one,
            "segment": segment,
            "segment_status": ASSIGNED if segment else PENDING,
            "revision": text[place * 16 : place * 16 + 16],
            "created_at": at,
            "updated_at": at,
            "seq": 0,
        }
        customer = cast(StoredCustomer, document)  # no type can name members that are derived
        if segment is None:
            customer["due"] = reason
        if with_entry:
            customer["seq"] = 1
            customer["outbox"] = [
                _entry("customer.created", at, reason, 1, (None, customer["revision"]), move_between(None, segment))
            ]
        new.append(customer)
    return new


def changed_customer(
    old: StoredCustomer,
    features: Features,
    placement: Placement | None,
    origin: Origin,
    cause: Cause = "customer_data",
) -> Update:
    """Return the next revision of a stored customer, with other features; of an import with an entry if it moves."""
    at = _after(old)
    segment = _assignment(old["segment"], placement, at, cause)
    members = {name: value for name, value in features.items() if name not in old or old[name] != value}  # type: ignore[literal-required]
    values = {name: [old.get(name), value] for name, value in members.items() if old.get(name) != value}
    members |= {"segment": segment, "segment_status": ASSIGNED if segment else PENDING, "updated_at": at}
    reason = reason_of(origin, cause, was_in(old))
    if segment is None:
        members["due"] = reason
    # A member that is no feature any more goes with the next change.
    dropped = [name for name in old if name not in members and name not in features and name not in _OWN]
    move = move_between(old["segment"], segment)
    if move is None and cause == "import":
        return _without_entry(old, members, dropped)
    update = _with_entry(old, members, "customer.updated", at, reason, move, dropped)
    assert update.entry is not None
    update.entry["fields"], update.entry["values"] = list(values), values
    return update


def assigned_customer(old: StoredCustomer, placement: Placement, reason: Due) -> Update:
    """Return the next revision of a stored customer that the worker assigns, with an entry where it moves."""
    if kept := _renewed(old["segment"], placement):  # nearly all of a million, so that it must be quick
        return _without_entry(old, {"segment": kept, "segment_status": ASSIGNED})
    at = _after(old)
    segment = _assignment(None, placement, at, reason["cause"])
    members = {"segment": segment, "segment_status": ASSIGNED}
    update = _with_entry(old, members, "customer.segment_changed", at, reason, move_between(old["segment"], segment))
    if old["segment"] is None and reason["was"] is not None and update.entry is not None:
        update.entry["data"] = {"was": reason["was"]}
    return update


def rescored_customer(old: StoredCustomer, placement: Placement, origin: Origin) -> Update:
    """Return the next revision of a stored customer that somebody had scored anew."""
    at = _after(old)
    segment = _assignment(old["segment"], placement, at, "manual")
    members = {"segment": segment, "segment_status": ASSIGNED}
    reason = reason_of(origin, "manual")
    return _with_entry(old, members, "customer.rescored", at, reason, move_between(old["segment"], segment))


def deleted_customer(customer: StoredCustomer, retention: timedelta, origin: Origin) -> DeletedCustomer:
    """Return the copy of a customer that is deleted now and can be restored for so long; it takes the outbox along."""
    at = _after(customer)
    reason, seq = reason_of(origin, None), customer["seq"] + 1
    entry = _entry(
        "customer.deleted", at, reason, seq, (customer["revision"], None), move_between(customer["segment"], None)
    )
    # The copy may continue the outbox of an earlier customer with this CUST_ID, which was created at another time.
    outbox = [{"created_at": customer["created_at"], **each} for each in (*customer.get("outbox", ()), entry)]
    new = {"seq": seq, "outbox": outbox, "deleted_at": at, "expires_at": at + retention}
    return cast(DeletedCustomer, {**customer, **new})


def restored_customer(copy: DeletedCustomer, origin: Origin) -> StoredCustomer:
    """Return the next revision of a customer that was deleted, with the features that the data dictionary has today.

    One that is younger than the customer is still missing then.
    """
    at = later_than(max(copy["updated_at"], copy["deleted_at"]))
    reason = reason_of(origin, "restored", was_in(copy))
    kept = {name: value for name, value in copy.items() if name not in ("deleted_at", "expires_at", "due")}
    segment = _assignment(None, copy["segment"], at, "restored")
    new = {"segment": segment, "revision": new_revision(), "seq": copy["seq"] + 1, "updated_at": at}
    customer = cast(StoredCustomer, {**kept, **complete(inputs_of(copy)), **new})
    if segment is None:
        customer["due"] = reason
    revisions = copy["revision"], customer["revision"]
    entry = _entry("customer.restored", at, reason, customer["seq"], revisions, move_between(None, segment))
    customer["outbox"] = [*(each for each in copy.get("outbox", ()) if not _is_earlier(each, copy)), entry]
    return customer


def waiting_entries_of_earlier(copy: DeletedCustomer) -> list[Entry]:
    """Return the entries that wait with a copy and are of earlier customers with its CUST_ID: they are not restored."""
    return [entry for entry in waiting_entries(copy) if _is_earlier(entry, copy)]


def _is_earlier(entry: Entry, customer: StoredCustomer) -> bool:
    return entry.get("created_at", customer["created_at"]) != customer["created_at"]


def waiting_entries(customer: StoredCustomer) -> list[Entry]:
    """Return the entries that wait with a customer that goes, with what goes without saying in its document."""
    mine = {"subject": Subject(type="customer", id=customer["CUST_ID"]), "created_at": customer["created_at"]}
    return [cast(Entry, {**mine, **entry}) for entry in customer.get("outbox", ())]


def was_in(customer: StoredCustomer) -> str | None:
    """Return the segment that a customer is in or, while it is pending, was in last."""
    segment = customer["segment"]
    if segment is not None:
        return segment["id"]
    return customer["due"]["was"] if "due" in customer else None


def reason_of(origin: Origin, cause: Cause | None, was: str | None = None) -> Due:
    """Return who changes customers and why, as their entries and pending customers keep it."""
    return Due(cause=cause, actor=origin.actor, by=None, request_id=origin.request_id, address=origin.address, was=was)


def _after(old: Customer) -> datetime:
    """Return the time of the next change, later than all before it, so that every moment can be reconstructed."""
    segment = old["segment"]
    return later_than(max(old["updated_at"], segment["since"]) if segment else old["updated_at"])


def _assignment(
    old: Assignment | None, placement: Placement | None, at: datetime, cause: Cause | None
) -> Assignment | None:
    if placement is None:
        return None
    return _renewed(old, placement) or {**placement, "since": at, "cause": cause}


def _renewed(old: Assignment | None, placement: Placement) -> Assignment | None:
    """Return the assignment of a customer that stays in its segment; None where it does not."""
    if old is None or old["id"] != placement["id"]:
        return None
    return {**placement, "since": old["since"], "cause": old["cause"]}


def move_between(old: Assignment | None, new: Assignment | None) -> SegmentChange | None:
    """Return what an entry says of the segment; None where it stays the same."""
    if (old and old["id"]) == (new and new["id"]):
        return None
    return {
        "from": old and old["id"],
        "from_since": old and old["since"],
        "from_model_version": old and old["model_version"],
        "to": new and new["id"],
        "confidence": new and new["confidence"],
        "rival": new and new["rival"],
        "model_version": new and new["model_version"],
    }


def _entry(
    kind: ChangeType,
    at: datetime,
    reason: Due,
    seq: int,
    revisions: tuple[str | None, str | None],
    move: SegmentChange | None,
) -> Entry:
    entry: Entry = {
        "seq": seq,
        "at": at,
        "type": kind,
        "cause": reason["cause"],
        "actor": reason["actor"],
        "by": reason["by"],
        "request_id": reason["request_id"],
        "address": reason["address"],
        "before": revisions[0],
        "after": revisions[1],
    }
    if move is not None:
        entry["segment"] = move
    return entry


def _without_entry(old: StoredCustomer, members: dict[str, Any], dropped: Sequence[str] = ()) -> Update:
    members["revision"] = new_revision()
    return Update(old, members, None, _settled(old, members, dropped))


def _with_entry(
    old: StoredCustomer,
    members: dict[str, Any],
    kind: ChangeType,
    at: datetime,
    reason: Due,
    move: SegmentChange | None,
    dropped: Sequence[str] = (),
) -> Update:
    revision, seq = new_revision(), old["seq"] + 1
    members |= {"revision": revision, "seq": seq}
    entry = _entry(kind, at, reason, seq, (old["revision"], revision), move)
    return Update(old, members, entry, _settled(old, members, dropped))


def _settled(old: StoredCustomer, members: Mapping[str, Any], dropped: Sequence[str]) -> Sequence[str]:
    """Return the members that an update drops: also why the customer was due, unless it still is."""
    return (*dropped, "due") if "due" in old and "due" not in members else dropped


def inputs_of(customer: Features) -> dict[str, Any]:
    """Return the features that a client sends, as the customer has them; None where it has none."""
    return {name: customer.get(name) for name in INPUT_NAMES}


def same_features(customer: Customer, features: Features) -> bool:
    """Whether a stored customer already has these features."""
    # The first says the same of nearly all, in a fifth of the time; a feature younger than the customer is not in it.
    return features.items() <= customer.items() or all(customer.get(name) == value for name, value in features.items())


KEPT_BY_SERVICE: Final = ("segment", "segment_status", "revision", "created_at", "updated_at", "seq")
"""What the service adds to a stored customer."""
_OWN: Final = {CUST_ID, *KEPT_BY_SERVICE, "due", "outbox"}
ADDED: Final = (*KEPT_BY_SERVICE, "deleted_at", "expires_at", "warnings")
"""What the service adds to customers in its answers; who sends one back changes none of it."""


def refuse_changes(old: Customer, sent: Features) -> None:
    """Raise InvalidInput where a customer is sent back with other members of the service than it has."""
    changed = [name for name in KEPT_BY_SERVICE if name in sent and sent[name] != old.get(name)]
    if changed:
        detail = "is set by the service, which now has another value: leave it out, or read the customer again"
        raise InvalidInput([FieldError(pointer=f"/{name}", detail=detail) for name in changed])


def ignored(sent: Features) -> list[Finding]:
    """Return a finding for every member of the service that was sent: it is not used."""
    return [
        Finding(
            pointer=f"/{name}", code="member_ignored", detail=f"{name} is set by the service; what was sent is unused"
        )
        for name in ADDED
        if name in sent
    ]


def refuse_gaps(features: Features) -> None:
    """Raise InvalidInput where a customer that was stored before a feature existed still lacks it."""
    missing = lacking(features)
    if missing:
        detail = "is missing from the stored customer and must be added"
        raise InvalidInput([FieldError(pointer=f"/{name}", detail=detail) for name in missing])
