"""Imports on fakes: what the receipt says, repeats, interruptions, cancels and others who write at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from fakes.changes import InMemoryOutboxes
from fakes.imports import InMemoryImportRecords, import_service
from fakes.model import DOWN, FakeModel
from fakes.store import InMemoryCustomerStore
from support.customers import inputs, stored

from gateway.services.customers.bulk_writes import Mode
from gateway.services.customers.customer import Customer
from gateway.services.customers.query import Total
from gateway.services.errors import (
    ImportEnded,
    ImportFailed,
    ImportInterrupted,
    ImportNotFound,
    ImportUnreadable,
    InvalidInput,
    StoreError,
    StoreUnavailable,
    UploadBroken,
)
from gateway.services.events.change import Entry
from gateway.services.imports.imports import ImportOptions, ImportService
from gateway.services.imports.records import HEARTBEAT_TIMEOUT, MAX_LISTED_ERRORS, REPORT_SECONDS, Import
from gateway.services.imports.run import ImportRun
from gateway.services.imports.source import Batch, RowFault
from gateway.services.principal import COMMAND_LINE
from shared.customer_files.header import ReadColumn
from shared.features import CUST_ID, complete

AWAY = StoreUnavailable("the database cannot be reached")


class Rows:
    """A source of batches; a step that is no batch is called or raised."""

    def __init__(self, *steps: Batch | Callable[[], object] | Exception) -> None:
        self.steps = steps
        self.columns = [ReadColumn(column=CUST_ID, read_from="Id")]
        self.ignored_columns = ["Note"]
        self.blank_rows = 2
        self.missing_words = {"NA": 3}
        self.bytes_read = 0
        self.ends_open = False
        self.closed = False

    def batches(self) -> Iterator[Batch]:
        for step in self.steps:
            self.bytes_read += 100
            if isinstance(step, Batch):
                yield step
            elif isinstance(step, Exception):
                raise step
            else:
                step()

    def close(self) -> None:
        self.closed = True


def batch(*customers: tuple[str, dict[str, Any]], faults: Sequence[int] = (), first: int = 2) -> Batch:
    """Customers on the lines from `first` on, and faults on other lines."""
    listed = [RowFault(line=line, column="BALANCE", detail="is wrong") for line in faults]
    some = [(i, complete(inputs(**changes))) for i, changes in customers]
    return Batch(some, range(first, first + len(some)), listed, len(listed))


def counts(receipt: Import) -> dict[str, int]:
    names = ("created", "updated", "unchanged", "rejected", "pending")
    return {name: receipt[name] for name in names if receipt[name]}  # type: ignore[literal-required]


@pytest.fixture
def records() -> InMemoryImportRecords:
    return InMemoryImportRecords()


@pytest.fixture
def outboxes() -> InMemoryOutboxes:
    return InMemoryOutboxes()


@pytest.fixture
def imports(
    store: InMemoryCustomerStore, model: FakeModel, records: InMemoryImportRecords, outboxes: InMemoryOutboxes
) -> ImportService:
    return import_service(store, model, records, outboxes)


def begin(imports: ImportService, *steps: Any, **order: Any) -> ImportRun:
    return imports.begin(Rows(*steps), ImportOptions(**order), COMMAND_LINE)


def run(imports: ImportService, *steps: Any, **order: Any) -> Import:
    """Import to the end and return what the record says then, which is what was shown last."""
    begun = begin(imports, *steps, **order)
    *_, last = begun.progress()
    found = imports.get(last["id"])
    assert {**found, "updated_at": None} == {**last, "updated_at": None}
    return last


class TestAReceipt:
    def test_counts_created_updated_unchanged_and_rejected(
        self, imports: ImportService, store: InMemoryCustomerStore
    ) -> None:
        run(imports, batch(("A", {}), ("B", {})))
        receipt = run(imports, batch(("A", {}), ("B", {"BALANCE": 5_000}), ("C", {}), faults=[7, 8, 9]))
        assert counts(receipt) == {"created": 1, "updated": 1, "unchanged": 1, "rejected": 3}
        assert (receipt["rows"], receipt["faults"], receipt["status"]) == (6, 3, "completed")
        assert store.customers["B"]["segment"]["id"] == "seg-02"

    def test_says_who_and_what(self, imports: ImportService) -> None:
        receipt = run(imports, batch(("A", {})), name="a.csv", size=500)
        assert receipt["by"] == {"kind": "system", "id": "command-line", "name": "command line"}
        assert (receipt["name"], receipt["size"], receipt["bytes"]) == ("a.csv", 500, 100)
        assert (receipt["mode"], receipt["dry_run"], receipt["ignored_columns"]) == ("upsert", False, ["Note"])
        assert receipt["columns"] == [{"column": CUST_ID, "read_from": "Id"}]
        assert (receipt["blank_rows"], receipt["missing_words"]) == (2, {"NA": 3})
        assert receipt["finished_at"] is not None
        assert receipt["finished_at"] >= receipt["created_at"]

    def test_lists_the_first_faults_in_order_and_keeps_all(self, imports: ImportService) -> None:
        lines = range(2, 182)
        receipt = run(imports, *(batch(faults=lines[start : start + 60]) for start in (0, 60, 120)))
        assert receipt["rejected"] == receipt["rows"] == receipt["faults"] == 180
        assert [error["line"] for error in receipt["errors"]] == list(lines[:MAX_LISTED_ERRORS])
        assert [fault["line"] for fault in imports.faults(receipt["id"])] == list(lines)

    def test_of_a_file_without_rows(self, imports: ImportService, model: FakeModel) -> None:
        assert counts(run(imports)) == counts(run(imports, batch())) == {}
        assert model.calls == []

    def test_is_told_of_with_who_asked_for_it(self, imports: ImportService, outboxes: InMemoryOutboxes) -> None:
        receipt = run(imports, batch(("A", {})))
        started, completed = outboxes.entries()
        assert (started["type"], completed["type"]) == ("import.started", "import.completed")
        for entry in (started, completed):
            assert entry["subject"] == {"type": "import", "id": receipt["id"]}
            assert (entry["actor"], entry["request_id"], entry["address"]) == (receipt["by"], "request-1", "192.0.2.1")


class TestADigest:
    """Is the one entry of an import at its end."""

    def test_has_the_counts_and_says_where_to_look(
        self, imports: ImportService, store: InMemoryCustomerStore, outboxes: InMemoryOutboxes
    ) -> None:
        run(imports, batch(("moves", {}), ("same", {})))
        receipt = run(imports, batch(("moves", {"BALANCE": 5_000}), ("same", {}), ("new", {}), faults=[9]))
        *_, completed = outboxes.entries()
        data = completed["data"]
        assert {name: data[name] for name in ("status", "mode", "dry_run", "rows", "rejected")} == {
            "status": "completed",
            "mode": "upsert",
            "dry_run": False,
            "rows": 4,
            "rejected": 1,
        }
        assert (data["created"], data["updated"], data["unchanged"]) == (1, 1, 1)
        assert data["segment_changes"] == {
            "count": 1,
            "unknown": 0,
            "moves": [{"from": "seg-01", "to": "seg-02", "count": 1}],
        }
        assert data["import"] == f"/api/v1/imports/{receipt['id']}"
        assert data["list"].startswith("/api/v1/customers?updated_at[gte]=")

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_of_one_that_wrote_nothing_has_no_list(
        self, imports: ImportService, outboxes: InMemoryOutboxes, dry_run: bool
    ) -> None:
        run(imports, batch(("A", {})))
        run(imports, batch(("A", {"BALANCE": 5.0 if dry_run else 100.0})), dry_run=dry_run)
        *_, completed = outboxes.entries()
        assert (completed["data"]["list"], completed["data"]["dry_run"]) == (None, dry_run)


def _ends(outboxes: InMemoryOutboxes) -> list[Entry]:
    return [entry for entry in outboxes.entries() if entry["type"] == "import.completed"]


def _long_ago(records: InMemoryImportRecords, seconds: float = REPORT_SECONDS) -> None:
    for record in records.records.values():
        record["updated_at"] -= timedelta(seconds=seconds + 1)


class TestAnEnd:
    """Is told once, whoever was killed."""

    def test_of_a_killed_import_is_told_once(
        self, imports: ImportService, records: InMemoryImportRecords, outboxes: InMemoryOutboxes
    ) -> None:
        killed = begin(imports, batch(("A", {}))).record
        imports.run_once()
        assert _ends(outboxes) == []
        _long_ago(records)
        for _ in range(3):
            assert imports.get(killed["id"])["status"] == "interrupted"
            imports.run_once()
        (ended,) = _ends(outboxes)
        assert ended["subject"] == {"type": "import", "id": killed["id"]}
        assert (ended["actor"], ended["request_id"]) == (killed["by"], "request-1")
        assert ended["data"]["status"] == "interrupted"

    def test_of_an_import_that_was_killed_after_its_last_row_is_told_too(
        self, imports: ImportService, records: InMemoryImportRecords, outboxes: InMemoryOutboxes
    ) -> None:
        receipt = run(imports, batch(("A", {})))
        outboxes.added.clear()  # as if the process had died before its transaction
        records.reported.clear()
        _long_ago(records)
        imports.run_once()
        (ended,) = _ends(outboxes)
        assert (ended["subject"]["id"], ended["data"]["status"]) == (receipt["id"], "completed")

    @pytest.mark.parametrize("method", ["unreported", "mark_reported", "add"])
    @pytest.mark.parametrize("after", [False, True])
    def test_is_told_once_though_whoever_tells_it_is_killed(
        self,
        imports: ImportService,
        records: InMemoryImportRecords,
        outboxes: InMemoryOutboxes,
        monkeypatch: pytest.MonkeyPatch,
        method: str,
        after: bool,
    ) -> None:
        begin(imports, batch(("A", {})))
        _long_ago(records)
        place = outboxes if method == "add" else records
        use = getattr(place, method)

        def killed(*arguments: Any) -> None:
            if after:
                use(*arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as dying:
            dying.setattr(place, method, killed)
            with pytest.raises(KeyboardInterrupt):
                imports.run_once()
        imports.run_once()
        imports.run_once()
        assert len(_ends(outboxes)) == 1

    def test_of_one_that_was_only_held_up_is_told_when_it_ends(
        self, imports: ImportService, records: InMemoryImportRecords, outboxes: InMemoryOutboxes
    ) -> None:
        slow = begin(imports, batch(("A", {})))
        _long_ago(records, HEARTBEAT_TIMEOUT)
        imports.run_once()
        assert imports.get(slow.record["id"])["status"] == "interrupted"
        *_, last = slow.progress()
        assert last["status"] == "completed"
        (ended,) = _ends(outboxes)
        assert ended["data"]["status"] == "completed"

    def test_of_one_that_was_told_to_be_dead_stays_as_it_was_told(
        self, imports: ImportService, records: InMemoryImportRecords, outboxes: InMemoryOutboxes
    ) -> None:
        slow = begin(imports, batch(("A", {})))
        _long_ago(records)
        imports.run_once()
        list(slow.progress())
        (ended,) = _ends(outboxes)
        assert ended["data"]["status"] == imports.get(slow.record["id"])["status"] == "interrupted"

    def test_is_told_once_by_many_at_once(
        self,
        store: InMemoryCustomerStore,
        model: FakeModel,
        records: InMemoryImportRecords,
        outboxes: InMemoryOutboxes,
    ) -> None:
        many = import_service(store, model, records, outboxes)
        for _ in range(8):
            begin(many, batch(("A", {})))
        _long_ago(records)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: many.run_once(), range(8)))
        assert len(_ends(outboxes)) == len({entry["subject"]["id"] for entry in _ends(outboxes)}) == 8


class TestRows:
    def test_the_same_file_twice_changes_nothing(
        self, imports: ImportService, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        rows = [batch(("A", {}), ("B", {"BALANCE": 5.0})), batch(("C", {}))]
        run(imports, *rows)
        before, model.calls = dict(store.customers), []
        assert counts(run(imports, *rows)) == {"unchanged": 3}
        assert store.customers == before
        assert model.calls == []

    def test_come_with_their_segments_in_one_call(
        self, imports: ImportService, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        run(imports, batch(("A", {}), ("B", {"BALANCE": 5_000})))
        assert [store.customers[i]["segment"]["id"] for i in "AB"] == ["seg-01", "seg-02"]
        assert model.calls == [("score", 2)]

    def test_are_pending_while_the_model_is_away(
        self, imports: ImportService, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        run(imports, batch(("A", {}), ("U", {})))
        model.failure = DOWN
        receipt = run(imports, batch(("A", {"BALANCE": 5.0}), ("B", {}), ("C", {}), ("U", {})))
        assert counts(receipt) == {"created": 2, "updated": 1, "unchanged": 1, "pending": 3}
        assert {store.customers[i]["segment_status"] for i in "ABC"} == {"pending"}

    def test_keep_when_their_customer_was_created(self, imports: ImportService, store: InMemoryCustomerStore) -> None:
        run(imports, batch(("A", {})))
        before = store.customers["A"]
        run(imports, batch(("A", {"BALANCE": 5.0})))
        assert store.customers["A"]["created_at"] == before["created_at"]
        assert store.customers["A"]["revision"] != before["revision"]


class TestTheMode:
    def test_insert_refuses_customers_that_exist(self, imports: ImportService, store: InMemoryCustomerStore) -> None:
        run(imports, batch(("B", {})))
        receipt = run(imports, batch(("A", {}), ("B", {"BALANCE": 5.0}), ("C", {}), faults=[9]), mode=Mode.INSERT)
        assert counts(receipt) == {"created": 2, "rejected": 2}
        assert [tuple(error.values()) for error in receipt["errors"]] == [
            (3, CUST_ID, "already exists"),
            (9, "BALANCE", "is wrong"),
        ]
        assert store.customers["B"]["BALANCE"] == 100.0

    @pytest.mark.parametrize("mode", list(Mode))
    def test_a_dry_run_says_what_would_happen(
        self, imports: ImportService, store: InMemoryCustomerStore, model: FakeModel, mode: Mode
    ) -> None:
        run(imports, batch(("B", {}), ("C", {})))
        before, model.failure = dict(store.customers), DOWN
        rows = batch(("A", {}), ("B", {"BALANCE": 5.0}), ("C", {}), ("A", {}), faults=[9])
        would = run(imports, rows, mode=mode, dry_run=True)
        assert store.customers == before
        does = run(imports, rows, mode=mode)
        assert counts(would) == counts(does)
        assert would["errors"] == does["errors"]


class TestAnInterruption:
    def test_by_the_database_tells_what_was_stored(self, imports: ImportService, store: InMemoryCustomerStore) -> None:
        def fail() -> None:
            store.failure = AWAY

        begun = begin(imports, *[batch((f"C{n}", {}), first=2 + n) for n in range(5)], fail, batch(("Z", {}), first=9))
        *_, receipt = begun.progress()
        assert (receipt["status"], receipt["reason"]) == ("interrupted", str(AWAY))
        assert receipt["created"] == len(store.customers)
        with pytest.raises(ImportInterrupted, match=f"stopped after {receipt['rows']} rows: the database cannot") as c:
            begun.check()
        assert c.value.__cause__ is AWAY

    def test_sending_the_file_again_finishes_it(self, imports: ImportService, store: InMemoryCustomerStore) -> None:
        rows = [batch(("A", {})), batch(("B", {}), first=3)]
        first = run(imports, rows[0], UploadBroken())
        assert (first["status"], counts(first)) == ("interrupted", {"created": 1})
        assert counts(run(imports, *rows)) == {"created": 1, "unchanged": 1}

    @pytest.mark.parametrize(
        ("error", "status", "raised"),
        [
            (UploadBroken(), "interrupted", ImportInterrupted),
            (InvalidInput([], "the file is damaged"), "failed", ImportUnreadable),
            (StoreError("the database refused the operation"), "failed", ImportFailed),
        ],
    )
    def test_by_the_file_keeps_what_was_read_before(
        self, imports: ImportService, error: Exception, status: str, raised: type[Exception]
    ) -> None:
        begun = begin(imports, batch(("A", {})), error)
        *_, receipt = begun.progress()
        assert (receipt["status"], receipt["reason"], counts(receipt)) == (status, str(error), {"created": 1})
        with pytest.raises(raised):
            begun.check()

    def test_by_whoever_watches_it_leaving(self, imports: ImportService) -> None:
        begun = begin(imports, batch(("A", {})), batch(("B", {}), first=3))
        begun._heartbeat_seconds = 0.0
        watching = begun.progress()
        next(watching)
        watching.close()
        found = imports.get(begun.record["id"])
        assert found["status"] == "interrupted"
        assert "disconnected" in str(found["reason"])

    def test_by_a_programming_error_is_raised_and_noted(self, imports: ImportService) -> None:
        begun = begin(imports, batch(("A", {})), ZeroDivisionError("bug"))
        with pytest.raises(ZeroDivisionError):
            list(begun.progress())
        found = imports.get(begun.record["id"])
        assert (found["status"], found["created"]) == ("failed", 1)
        assert "bug" not in str(found["reason"])

    def test_a_record_that_cannot_be_noted_stops_nothing(
        self, imports: ImportService, store: InMemoryCustomerStore, records: InMemoryImportRecords
    ) -> None:
        def fail() -> None:
            records.failure = AWAY

        begun = begin(imports, fail, batch(("A", {})))
        *_, receipt = begun.progress()
        assert (receipt["status"], list(store.customers)) == ("completed", ["A"])
        records.failure = None
        assert imports.get(receipt["id"])["status"] == "running", "until it has not been heard of for long"

    def test_the_source_is_closed_in_any_case(self, imports: ImportService) -> None:
        for steps in ([batch(("A", {}))], [UploadBroken()]):
            source = Rows(*steps)
            list(imports.begin(source, ImportOptions(), COMMAND_LINE).progress())
            assert source.closed


class TestADeadProcess:
    def test_is_noticed_by_its_silence(
        self, imports: ImportService, records: InMemoryImportRecords, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun = begin(imports, batch(("A", {})))
        assert imports.get(begun.record["id"])["status"] == "running"
        monkeypatch.setattr("gateway.services.imports.imports.HEARTBEAT_TIMEOUT", -1)
        found = imports.get(begun.record["id"])
        assert found["status"] == "interrupted"
        assert "at least" in str(found["reason"])
        assert imports.page(None, 1).items[0]["status"] == "interrupted"

    def test_is_noticed_by_the_worker(
        self, imports: ImportService, records: InMemoryImportRecords, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun = begin(imports)
        monkeypatch.setattr("gateway.services.imports.imports.HEARTBEAT_TIMEOUT", -1)
        called: list[int] = []
        assert imports.run_once(lambda: called.append(1)) == 1
        assert called == [1]
        assert records.records[begun.record["id"]]["status"] == "interrupted"


class TestACancel:
    def test_stops_before_the_next_batch_and_keeps_what_is_stored(
        self, imports: ImportService, store: InMemoryCustomerStore
    ) -> None:
        def cancel() -> None:
            imports.cancel(begun.record["id"])
            assert begun._stop.wait(10), "the run has not heard of it"

        begun = begin(imports, batch(("A", {})), cancel, batch(("B", {}), first=3))
        begun._heartbeat_seconds = 0.01
        *_, receipt = begun.progress()
        assert (receipt["status"], receipt["reason"], receipt["cancel_requested"]) == ("cancelled", None, True)
        assert list(store.customers) == ["A"]
        begun.check()
        with pytest.raises(ImportEnded, match="cancelled"):
            imports.cancel(receipt["id"])

    @pytest.mark.parametrize("end", [None, UploadBroken()])
    def test_ends_an_import_whose_sender_sends_nothing(
        self, imports: ImportService, records: InMemoryImportRecords, end: Exception | None
    ) -> None:
        ended = threading.Event()

        def stall() -> None:
            imports.cancel(begun.record["id"])
            assert ended.wait(10), "it did not end while it was waiting for the sender"

        note = records.note

        def noted(import_id: str, progress: dict[str, Any]) -> bool:
            if progress["status"] == "cancelled":
                ended.set()
            return note(import_id, progress)

        records.note = noted  # type: ignore[method-assign]
        begun = begin(imports, batch(("A", {})), stall, *([end] if end else [batch(("B", {}), first=3)]))
        begun._heartbeat_seconds = 0.01
        *_, receipt = begun.progress()
        assert (receipt["status"], receipt["created"]) == ("cancelled", 1)

    def test_of_no_import(self, imports: ImportService) -> None:
        with pytest.raises(ImportNotFound):
            imports.cancel("nothing")
        with pytest.raises(ImportNotFound):
            imports.get("nothing")
        with pytest.raises(ImportNotFound):
            imports.faults("nothing")

    def test_of_an_import_that_has_ended(self, imports: ImportService) -> None:
        receipt = run(imports, batch(("A", {})))
        with pytest.raises(ImportEnded, match="completed"):
            imports.cancel(receipt["id"])


class TestAFirstLoad:
    LARGE = 50_000_000

    def test_drops_the_indexes_of_lists_until_it_has_ended(
        self, imports: ImportService, records: InMemoryImportRecords, dropped: list[bool]
    ) -> None:
        begun = begin(imports, batch(("A", {})), size=self.LARGE)
        assert (dropped, records.loading()) == ([True], True)
        list(begun.progress())
        assert not records.loading()

    @pytest.mark.parametrize("order", [{"size": 1_000_000}, {"size": None}, {"size": LARGE, "dry_run": True}])
    def test_is_a_large_file(self, imports: ImportService, dropped: list[bool], order: dict[str, Any]) -> None:
        run(imports, batch(("A", {})), **order)
        assert dropped == []

    def test_is_one_that_brings_far_more_than_there_is(
        self, imports: ImportService, store: InMemoryCustomerStore, dropped: list[bool]
    ) -> None:
        store.customers = {f"C{n}": stored(f"C{n}") for n in range(5_000)}
        run(imports, size=4_500_000)
        assert dropped == []
        run(imports, size=5_500_000)
        assert dropped == [True]

    def test_not_where_lists_would_feel_it_however_large_the_file_claims_to_be(
        self, imports: ImportService, store: InMemoryCustomerStore, dropped: list[bool], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "count", lambda *_, **__: Total(20_001, "estimated"))
        run(imports, size=10**9)
        assert dropped == []

    def test_goes_on_slowly_where_they_cannot_be_dropped(
        self, imports: ImportService, store: InMemoryCustomerStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            raise StoreError("the database refused the operation")

        monkeypatch.setattr(store, "drop_sort_indexes", fail)
        assert run(imports, batch(("A", {})), size=self.LARGE)["status"] == "completed"

    @pytest.fixture
    def dropped(self, store: InMemoryCustomerStore, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
        calls: list[bool] = []
        monkeypatch.setattr(store, "drop_sort_indexes", lambda: calls.append(True))
        return calls


class TestProgress:
    def test_is_shown_while_it_goes_on(self, imports: ImportService) -> None:
        begun = begin(imports, *(batch((f"C{n}", {}), first=2 + n) for n in range(5)))
        begun._heartbeat_seconds = 0.0
        shown = [record["rows"] for record in begun.progress()]
        assert len(shown) >= 5
        assert shown == sorted(shown)
        assert shown[-1] == 5

    def test_pages_are_newest_first(self, imports: ImportService) -> None:
        first, second = run(imports), run(imports)
        page = imports.page(None, 1)
        newest = max(first["id"], second["id"])
        assert (page.items[0]["id"], page.end) == (newest, newest)
        rest = imports.page(page.items[0]["id"], 1)
        assert (rest.items[0]["id"], rest.end) == (min(first["id"], second["id"]), None)


class OthersWrite(InMemoryCustomerStore):
    """A store in which others write customer A between a read and the write that follows, `times` times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def get_many(self, cust_ids: Sequence[str]) -> dict[str, Customer]:
        found = super().get_many(cust_ids)
        if self.times:
            self.times -= 1
            self.customers["A"] = stored("A", TENURE=6 + self.times % 2)
        return found


class TestOthersWhoWrite:
    @pytest.mark.parametrize("there_before", [True, False])
    def test_are_overwritten(self, records: InMemoryImportRecords, there_before: bool) -> None:
        store = OthersWrite(times=2)
        if there_before:
            store.insert(stored("A"))
        receipt = run(import_service(store, FakeModel(), records), batch(("A", {"BALANCE": 5.0}), ("B", {})))
        assert counts(receipt) == {"created": 1, "updated": 1}
        assert (store.customers["A"]["BALANCE"], store.customers["A"]["TENURE"]) == (5.0, 12)

    def test_do_not_make_a_pending_customer_count_twice(self, records: InMemoryImportRecords) -> None:
        model = FakeModel()
        model.failure = DOWN
        receipt = run(import_service(OthersWrite(times=3), model, records), batch(("A", {"BALANCE": 5.0})))
        assert counts(receipt) == {"updated": 1, "pending": 1}

    def test_without_end_interrupt_the_import(self, records: InMemoryImportRecords) -> None:
        begun = begin(import_service(OthersWrite(times=10**9), FakeModel(), records), batch(("A", {"BALANCE": 5.0})))
        *_, receipt = begun.progress()
        assert receipt["status"] == "interrupted"
        assert "Other requests keep changing" in str(receipt["reason"])
