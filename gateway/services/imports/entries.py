"""What the change log is told of an import: its beginning, and at its end one digest in the place of an entry a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.services.clock import now
from gateway.services.events.change import ChangeType, Entry, Subject
from gateway.services.imports.records import Beginning, Import

_COUNTED = ("rows", "created", "updated", "unchanged", "rejected", "pending", "deleted", "faults", "segment_changes")


def started(record: Import, beginning: Beginning) -> Entry:
    """Return the entry of an import that begins."""
    data = {"mode": record["mode"], "dry_run": record["dry_run"], "import": _address(record)}
    return _entry("import.started", record, beginning, data)


def completed(record: Import, beginning: Beginning) -> Entry:
    """Return the digest of an import that has ended, however it did.

    Its ``list`` is the address of the customers that were written while it went on: those that it created or updated
    and nobody has written since, and those that others wrote in that time. Null where it wrote none.
    """
    counts = {name: record[name] for name in _COUNTED}  # type: ignore[literal-required]  # members of the record
    data = {
        "status": record["status"],
        "mode": record["mode"],
        "dry_run": record["dry_run"],
        **counts,
        "import": _address(record),
        "list": written(record),
    }
    return _entry("import.completed", record, beginning, data)


def _entry(kind: ChangeType, record: Import, beginning: Beginning, data: Mapping[str, Any]) -> Entry:
    return Entry(
        at=now(),
        type=kind,
        cause="import",
        actor=record["by"],
        by=None,
        request_id=beginning.request_id,
        address=beginning.address,
        before=None,
        after=None,
        subject=Subject(type="import", id=record["id"]),
        data=data,
    )


def _address(record: Import) -> str:
    return f"/api/v1/imports/{record['id']}"


def written(record: Import) -> str | None:
    """Return the address of the customers that were written while an import went on, None where it wrote none."""
    if record["dry_run"] or not record["created"] + record["updated"]:
        return None
    until = record["finished_at"] or record["updated_at"]
    first, last = (f"{moment.isoformat(timespec='milliseconds')}Z" for moment in (record["created_at"], until))
    return f"/api/v1/customers?updated_at[gte]={first}&updated_at[lte]={last}"
