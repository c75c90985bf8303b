"""What every `ImportRecords` does: run over the fake and over a real mongod, so that the fake cannot drift.

Subclass it in a test module and give it a fixture `records` without any import.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from gateway.services.errors import ImportRunning, MirrorRunning
from gateway.services.imports.records import DETAILS, Beginning, Import, ImportRecords, actor_of
from gateway.services.imports.source import RowFault
from gateway.services.principal import COMMAND_LINE

AT = datetime(2030, 5, 1, 12, 0, 0, 123000)
"""In the future, so that no store takes a record for an old one that may go."""


def record(import_id: str = "A", **changes: object) -> Import:
    """Return the record of an import that has just begun."""
    counts = dict.fromkeys(
        ("rows", "created", "updated", "unchanged", "rejected", "pending", "deleted", "faults", "bytes"), 0
    )
    plain = {
        "id": import_id,
        "status": "running",
        "mode": "upsert",
        "dry_run": False,
        "name": None,
        **counts,
        "size": 10,
        "columns": [],
        "ignored_columns": [],
        "blank_rows": 0,
        "missing_words": {},
        "errors": [],
        "warnings": [],
        "segment_changes": {"count": 0, "unknown": 0, "moves": []},
        "drift": None,
        "drift_unavailable": None,
        "mirror": None,
        "reason": None,
        "by": actor_of(COMMAND_LINE),
        "cancel_requested": False,
        "created_at": AT,
        "updated_at": AT,
        "finished_at": None,
    }
    return {**plain, **changes}  # type: ignore[typeddict-item,return-value]


def fault(line: int) -> RowFault:
    """Return a fault."""
    return RowFault(line=line, column="BALANCE", detail="must be a number")


class ImportRecordsContract:
    """Method names come first in the tests' names."""

    def test_get_returns_what_began(self, records: ImportRecords) -> None:
        began = record(ignored_columns=["$x", "a.b"], name="$name")
        records.begin(began)
        found = records.get("A")
        assert found is not None
        assert {**found, "updated_at": AT} == began
        assert records.get("B") is None

    def test_loading_is_true_while_a_first_load_runs(self, records: ImportRecords) -> None:
        records.begin(record("A"))
        assert not records.loading()
        records.begin(record("B"), first_load=True)
        assert records.loading()
        found = records.get("B")
        assert found is not None
        assert set(found) == set(record())
        records.note("B", {"status": "completed"})
        assert not records.loading()

    def test_note_changes_what_it_names_and_when_it_was_heard_of(self, records: ImportRecords) -> None:
        records.begin(record())
        before = records.get("A")
        progress = {"rows": 3, "errors": [fault(2)], "ignored_columns": ["$x"], "reason": "$why"}
        assert records.note("A", progress) is False
        found = records.get("A")
        assert found is not None
        assert before is not None
        assert {**found, "updated_at": AT} == record(**progress)
        assert found["updated_at"] >= before["updated_at"] - timedelta(seconds=1)

    def test_note_of_an_unknown_import_makes_none(self, records: ImportRecords) -> None:
        assert records.note("A", {"rows": 3}) is False
        assert records.get("A") is None

    def test_note_hears_of_a_wish_to_stop(self, records: ImportRecords) -> None:
        records.begin(record())
        assert records.request_cancel("A")
        assert records.note("A", {"rows": 3}) is True
        found = records.get("A")
        assert found is not None
        assert found["cancel_requested"] is True

    @pytest.mark.parametrize("status", ["completed", "cancelled", "interrupted", "failed"])
    def test_request_cancel_is_for_running_imports(self, records: ImportRecords, status: str) -> None:
        records.begin(record())
        records.note("A", {"status": status})
        assert not records.request_cancel("A")
        assert not records.request_cancel("B")

    def test_faults_come_in_the_order_of_their_batches(self, records: ImportRecords) -> None:
        records.note_faults("A", 1, [fault(line) for line in range(5_000, 9_500)])
        records.note_faults("B", 0, [fault(7)])
        records.note_faults("A", 0, [fault(2)])
        records.note_faults("A", 10, [fault(99_999)])
        found = [fault for some in records.faults("A") for fault in some]
        assert found == [fault(2), *(fault(line) for line in range(5_000, 9_500)), fault(99_999)]
        assert list(records.faults("C")) == []

    def test_page_is_newest_first_without_errors(self, records: ImportRecords) -> None:
        for import_id in ("20300101", "20300103", "20300102"):
            records.begin(record(import_id, errors=[fault(2)]))
        assert [item["id"] for item in records.page(None, 2)] == ["20300103", "20300102"]
        assert [item["id"] for item in records.page("20300102", 5)] == ["20300101"]
        assert not set(DETAILS) & set(records.page(None, 1)[0])

    def test_give_up_silent_spares_those_that_were_heard_of_or_have_ended(self, records: ImportRecords) -> None:
        for import_id in ("A", "B"):
            records.begin(record(import_id))
            records.note(import_id, {"rows": 1})
        records.note("B", {"status": "completed"})
        assert records.interrupt_stale(60, "died") == 0
        assert records.interrupt_stale(-1, "died") == 1
        a, b = records.get("A"), records.get("B")
        assert a is not None
        assert b is not None
        assert (a["status"], a["reason"], b["status"]) == ("interrupted", "died", "completed")
        assert a["finished_at"] is not None
        assert records.interrupt_stale(-1, "died") == 0

    def test_note_of_one_that_was_given_up_too_early_has_the_last_word(self, records: ImportRecords) -> None:
        records.begin(record())
        records.interrupt_stale(-1, "died")
        records.note("A", {"status": "completed", "reason": None, "rows": 5})
        found = records.get("A")
        assert found is not None
        assert (found["status"], found["reason"], found["rows"]) == ("completed", None, 5)

    def test_the_end_of_each_is_told_once_and_is_its_last_state(self, records: ImportRecords) -> None:
        beginning = Beginning("req-1", "192.0.2.1")
        for import_id in ("A", "B", "C"):
            records.begin(record(import_id), beginning)
            records.note(import_id, {"rows": 1})
        assert records.mark_reported("A") is None, "it runs"
        assert records.mark_reported("unknown") is None
        for import_id in ("B", "C"):
            records.note(import_id, {"status": "completed"})
        assert records.unreported(60) == []
        assert sorted(records.unreported(-1)) == ["B", "C"]
        found = records.mark_reported("B")
        assert found is not None
        assert ({**found[0], "updated_at": AT}, found[1]) == (record("B", rows=1, status="completed"), beginning)
        assert records.mark_reported("B") is None
        assert records.unreported(-1) == ["C"]
        records.interrupt_stale(-1, "died")
        assert sorted(records.unreported(-1)) == ["A", "C"]
        assert records.mark_reported("A") is not None
        assert records.note("A", {"rows": 9, "status": "completed"}) is True, "it has to stop: it was given up"
        found = records.get("A")
        assert found is not None
        assert (found["rows"], found["status"]) == (1, "interrupted")
        assert set(found) == set(record())

    def test_alone_runs_beside_no_other(self, records: ImportRecords) -> None:
        records.begin(record("A"))
        with pytest.raises(ImportRunning, match="A is running"):
            records.begin(record("B", mode="mirror"), alone=True)
        records.begin(record("C", mode="mirror", dry_run=True))
        records.begin(record("D"))
        for import_id in ("A", "D"):
            records.note(import_id, {"status": "completed"})
        records.begin(record("E", mode="mirror"), alone=True)
        for other in (record("F"), record("F", mode="mirror")):
            with pytest.raises(MirrorRunning, match="E is running"):
                records.begin(other, alone=other["mode"] == "mirror")
        records.begin(record("G", dry_run=True))
        assert (records.get("B"), records.get("F")) == (None, None)
        found = records.get("E")
        assert found is not None
        assert set(found) == set(record())

    def test_alone_has_to_stop_when_it_was_given_up(self, records: ImportRecords) -> None:
        records.begin(record("A", mode="mirror"), alone=True)
        records.interrupt_stale(-1, "died")
        records.begin(record("B", mode="mirror"), alone=True)
        assert records.note("A", {"status": "running", "rows": 5}) is True
        found = records.get("A")
        assert found is not None
        assert (found["status"], found["rows"]) == ("interrupted", 0)
        assert records.note("B", {"rows": 5}) is False

    def test_hold_keeps_others_from_beginning(self, records: ImportRecords) -> None:
        records.begin(record("A"))
        with pytest.raises(ImportRunning, match="A is running"):
            records.hold("one", 60)
        records.note("A", {"status": "completed"})
        for _ in range(2):
            records.hold("one", 60)
            with pytest.raises(ImportRunning, match="The sample"):
                records.hold("two", 60)
            with pytest.raises(ImportRunning, match="The sample"):
                records.begin(record("B"))
        records.begin(record("C", dry_run=True))
        records.begin(record("D"), alone=True, holder="one")
        records.note("D", {"status": "completed"})
        records.release("two")
        with pytest.raises(ImportRunning):
            records.begin(record("B"))
        records.release("one")
        records.begin(record("B"))
        records.note("B", {"status": "completed"})
        records.hold("two", -1)
        records.hold("one", 60)
        assert "gate" not in [item["id"] for item in records.page(None, 100)]
