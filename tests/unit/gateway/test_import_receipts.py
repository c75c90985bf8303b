"""What a receipt says beside counts and faults: warnings by code, changes of segment, and the drift of the file."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from fakes.gateway import FakeGateway
from fakes.imports import import_service
from fakes.model import DOWN, FakeModel
from fakes.registry import OLD, FakeRegistry
from fakes.store import InMemoryCustomerStore
from support.customers import inputs, stored

from gateway.commands.imports import described
from gateway.services.customers.bulk_writes import Mode
from gateway.services.errors import ModelTimeout, RegistryRefusal, UploadBroken
from gateway.services.imports.comparison import RowSample
from gateway.services.imports.imports import ImportOptions
from gateway.services.imports.records import Import
from gateway.services.imports.row_warnings import MAX_EXAMPLES, Ranges, WarningTally, matrix_of
from gateway.services.imports.source import Batch, RowFault, RowWarning
from gateway.services.principal import COMMAND_LINE
from shared.customer_files.header import ReadColumn
from shared.features import INPUT_NAMES, complete
from shared.findings import findings

WIDE: Ranges = {name: {"low": -1.0, "high": 1e13} for name in INPUT_NAMES}
"""Ranges that no value is outside of."""
HIGH = 5_000.0
"""A BALANCE of the second segment."""


class Rows:
    """A source of batches and failures."""

    columns: Sequence[ReadColumn] = ()
    ignored_columns: Sequence[str] = ()
    blank_rows = 0
    missing_words: Mapping[str, int] = MappingProxyType({})
    bytes_read = 0

    def __init__(self, *steps: Batch | Exception) -> None:
        self._steps = steps

    def batches(self) -> Any:
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            yield step

    def close(self) -> None:
        pass


class RangedRegistry(FakeRegistry):
    """A registry whose model was trained on customers within some ranges."""

    def __init__(self, **ranges: tuple[float, float]) -> None:
        super().__init__()
        self.ranges = {**WIDE, **{name: {"low": low, "high": high} for name, (low, high) in ranges.items()}}

    def model(self, version: str) -> dict[str, Any]:
        return {**super().model(version), "ranges": self.ranges}


class Imports:
    """Imports on fakes."""

    def __init__(self, registry: FakeRegistry | None = None) -> None:
        self.store, self.model = InMemoryCustomerStore(), FakeModel()
        self.registry = registry or RangedRegistry()
        self.service = import_service(self.store, self.model, registry=self.registry)

    def run(self, *steps: Batch | Exception, **order: Any) -> Import:
        *_, last = self.service.begin(Rows(*steps), ImportOptions(**order), COMMAND_LINE).progress()
        found = self.service.get(last["id"])
        assert {**found, "updated_at": None} == {**last, "updated_at": None}
        return last


def batch(
    *customers: tuple[str, Mapping[str, Any]],
    first: int = 2,
    warnings: Sequence[RowWarning] = (),
    faults: Sequence[RowFault] = (),
) -> Batch:
    some = [(i, complete(inputs(**changes))) for i, changes in customers]
    return Batch(some, range(first, first + len(some)), faults, len(faults), warnings)


def warning(line: int | None, code: str = "missing_word", column: str | None = "CREDIT_LIMIT") -> RowWarning:
    return RowWarning(line=line, code=code, column=column, detail=f"a sentence about {column}")


class TestWarnings:
    def test_are_the_findings_about_the_rows_by_code(self) -> None:
        odd = {"TENURE": 5, "CREDIT_LIMIT": None}
        receipt = Imports().run(batch(("A", odd), ("B", {})), batch(("C", {"TENURE": 3}), ("D", {}), first=4))
        details = {finding["code"]: finding["detail"] for finding in findings(complete(inputs(**odd)))}
        assert receipt["warnings"] == [
            {
                "code": "short_tenure",
                "count": 2,
                "columns": [{"column": "TENURE", "count": 2}],
                "examples": [
                    {"line": 2, "column": "TENURE", "detail": details["short_tenure"]},
                    {"line": 4, "column": "TENURE", "detail": details["short_tenure"]},
                ],
            },
            {
                "code": "missing_limit",
                "count": 1,
                "columns": [{"column": "CREDIT_LIMIT", "count": 1}],
                "examples": [{"line": 2, "column": "CREDIT_LIMIT", "detail": details["missing_limit"]}],
            },
        ]

    def test_count_what_the_reader_of_the_file_found_odd(self) -> None:
        odd = [warning(None, "decimal_commas", None), warning(3), warning(2, column="MINIMUM_PAYMENTS"), warning(2)]
        (missing, commas) = Imports().run(batch(("A", {}), warnings=odd))["warnings"]
        assert (commas["code"], commas["count"]) == ("decimal_commas", 1)
        assert commas["columns"] == [{"column": None, "count": 1}]
        assert (missing["code"], missing["count"]) == ("missing_word", 3)
        assert missing["columns"] == [
            {"column": "CREDIT_LIMIT", "count": 2},
            {"column": "MINIMUM_PAYMENTS", "count": 1},
        ]
        assert [example["line"] for example in missing["examples"]] == [2, 2, 3]

    def test_about_values_that_no_training_customer_had(self) -> None:
        imports = Imports(RangedRegistry(BALANCE=(10.0, 200.0), CREDIT_LIMIT=(50.0, 500.0)))
        rows = [
            ("A", {"BALANCE": 5.0}),
            ("B", {"BALANCE": 201.0, "CREDIT_LIMIT": 501.0}),
            ("C", {"CREDIT_LIMIT": None}),
        ]
        found = {w["code"]: w for w in imports.run(batch(*rows))["warnings"]}["outside_training_range"]
        assert found["count"] == 3
        assert found["columns"] == [{"column": "BALANCE", "count": 2}, {"column": "CREDIT_LIMIT", "count": 1}]
        assert found["examples"][0]["detail"] == (
            "Average balance owed: outside of what 99.8% of the training customers have, 10 to 200"
        )

    def test_say_so_where_the_training_range_is_not_known(self) -> None:
        imports = Imports()
        imports.registry.failure = DOWN
        (found,) = imports.run(batch(("A", {})))["warnings"]
        assert (found["code"], found["count"], found["examples"][0]["line"]) == ("training_range_unknown", 1, None)

    def test_have_the_first_examples_in_the_order_of_the_file(self) -> None:
        many = [batch(*((f"C{first}-{n}", {"TENURE": 1}) for n in range(4)), first=first) for first in (2, 6, 10)]
        (found,) = Imports().run(*many)["warnings"]
        assert found["count"] == 12
        assert [example["line"] for example in found["examples"]] == [2, 3, 4, 5, 6]
        assert MAX_EXAMPLES == 5

    def test_are_about_rows_that_are_taken(self) -> None:
        imports = Imports()
        imports.run(batch(("A", {})))
        faults = [RowFault(line=9, column="TENURE", detail="must be at most 12")]
        rows = batch(("A", {"TENURE": 1}), ("B", {"TENURE": 1}), faults=faults)
        receipt = imports.run(rows, mode=Mode.INSERT)
        assert receipt["rejected"] == 2
        assert [(w["count"], [e["line"] for e in w["examples"]]) for w in receipt["warnings"]] == [(1, [3])]

    def test_and_all_else_hold_nothing_of_a_row(self) -> None:
        imports = Imports(RangedRegistry(BALANCE=(10.0, 200.0)))
        imports.store.insert(stored("SECRET-ID", {"id": "seg-02"}))
        receipt = imports.run(batch(("SECRET-ID", {"BALANCE": 4711.25, "TENURE": 1, "MINIMUM_PAYMENTS": None})))
        assert receipt["warnings"]
        assert "SECRET-ID" not in str(receipt)
        assert "4711" not in str(receipt)

    def test_keep_few_examples_however_many_there_are(self) -> None:
        tally = WarningTally([warning(line) for line in range(10_000, 2, -1)])
        assert len(tally._examples["missing_word"]) <= 100 * MAX_EXAMPLES
        (found,) = tally.summary()
        assert (found["count"], len(found["examples"])) == (9_998, MAX_EXAMPLES)

    def test_are_kept_when_the_file_breaks_off(self) -> None:
        receipt = Imports().run(batch(("A", {"TENURE": 1})), UploadBroken())
        assert receipt["status"] == "interrupted"
        assert [w["code"] for w in receipt["warnings"]] == ["short_tenure"]
        assert (receipt["drift"], receipt["drift_unavailable"]) == (None, None)


class TestSegmentChanges:
    @pytest.mark.parametrize("dry_run", [True, False])
    def test_are_those_of_stored_customers_by_move(self, dry_run: bool) -> None:
        imports = Imports()
        imports.run(batch(("A", {}), ("B", {}), ("C", {"BALANCE": HIGH}), ("D", {}), ("E", {})))
        before = dict(imports.store.customers)
        changed = {"A": HIGH, "B": HIGH, "C": 5.0, "D": 7.0, "E": 100.0, "NEW": HIGH}
        receipt = imports.run(batch(*((i, {"BALANCE": b}) for i, b in changed.items())), dry_run=dry_run)
        assert receipt["segment_changes"] == {
            "count": 3,
            "unknown": 0,
            "moves": [
                {"from": "seg-01", "to": "seg-02", "count": 2},
                {"from": "seg-02", "to": "seg-01", "count": 1},
            ],
        }
        assert (imports.store.customers == before) is dry_run

    def test_are_none_where_there_was_no_segment(self) -> None:
        imports = Imports()
        imports.model.failure = DOWN
        imports.run(batch(("A", {})))
        later = self._later(imports)
        receipt = later.run(batch(("A", {"BALANCE": HIGH})))
        assert receipt["segment_changes"] == {"count": 0, "unknown": 0, "moves": []}

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_are_unknown_while_the_model_is_away(self, dry_run: bool) -> None:
        imports = Imports()
        imports.run(batch(("A", {}), ("B", {})))
        imports.model.failure = DOWN
        receipt = imports.run(batch(("A", {"BALANCE": HIGH}), ("B", {}), ("C", {})), dry_run=dry_run)
        assert receipt["segment_changes"] == {"count": 0, "unknown": 1, "moves": []}
        assert "of 1 it is not known" in described(receipt)

    def _later(self, imports: Imports) -> Imports:
        """The same customers with a model that has not failed lately."""
        later = Imports()
        later.store.customers = imports.store.customers
        later.service = import_service(later.store, later.model, registry=later.registry)
        return later


class TestDrift:
    @pytest.mark.parametrize("dry_run", [True, False])
    def test_is_that_of_the_faultless_rows_against_the_active_model(self, dry_run: bool) -> None:
        imports = Imports()
        faults = [RowFault(line=4, column="TENURE", detail="must be at most 12")]
        receipt = imports.run(
            batch(("A", {"CREDIT_LIMIT": None}), ("B", {}), faults=faults), batch(("C", {}), first=5), dry_run=dry_run
        )
        assert receipt["drift"] is not None
        assert (receipt["drift"]["model_version"], receipt["drift"]["rows"]) == (OLD, 3)
        assert receipt["drift_unavailable"] is None
        (block,) = imports.registry.blocks
        assert block.ids == []
        assert block.columns["CREDIT_LIMIT"] == [None, 100.0, 100.0]
        assert set(map(type, block.columns["TENURE"])) == {int}
        assert imports.registry.deadlines == [7.0]

    @pytest.mark.parametrize(
        "failure",
        [
            DOWN,
            ModelTimeout("The model service did not answer in time"),
            RegistryRefusal(503, "analysis_busy", "2 analyses are running; try again in 10 seconds."),
            RegistryRefusal(409, "no_evidence", "Version v was trained before drift could be measured."),
        ],
    )
    def test_that_cannot_be_measured_says_why_and_stops_nothing(self, failure: Exception) -> None:
        imports = Imports()
        imports.registry.failure = failure  # type: ignore[assignment]
        receipt = imports.run(batch(("A", {})), dry_run=True)
        assert (receipt["status"], receipt["created"], receipt["drift"]) == ("completed", 1, None)
        assert receipt["drift_unavailable"] == str(failure)

    def test_of_no_rows(self) -> None:
        imports = Imports()
        receipt = imports.run(batch())
        assert receipt["drift_unavailable"] == "The file has no faultless row to compare."
        assert imports.registry.deadlines == []

    def test_is_waited_for_with_progress_and_whoever_leaves_then_has_stored_everything(self) -> None:
        imports, measured = Imports(), threading.Event()
        imports.registry.meanwhile = lambda: assert_true(measured.wait(10))  # type: ignore[assignment]
        run = imports.service.begin(Rows(batch(("A", {}))), ImportOptions(), COMMAND_LINE)
        run._heartbeat_seconds = 0.01
        watching = run.progress()
        while next(watching)["created"] == 0:
            pass
        measured.set()
        watching.close()
        found = imports.service.get(run.record["id"])
        assert (found["status"], found["reason"], found["created"]) == ("completed", None, 1)
        assert found["drift"] is not None


def assert_true(holds: bool) -> None:
    assert holds


def rows(numbers: Sequence[int]) -> Any:
    return matrix_of([(str(n), complete(inputs(BALANCE=n))) for n in numbers])


def balances(sample: RowSample) -> list[float | int | None]:
    return [balance for block in sample.blocks() for balance in block.columns["BALANCE"]]


class TestTheSample:
    def test_is_the_file_while_that_is_small(self) -> None:
        sample = RowSample(most=50)
        for first in range(0, 50, 10):
            sample.add(rows(range(first, first + 10)))
        assert len(sample) == 50
        assert balances(sample) == list(range(50))

    def test_of_a_large_file_has_as_many_and_each_row_is_as_likely(self) -> None:
        sample = RowSample(most=2_000)
        for first in range(0, 40_000, 1_000):
            sample.add(np.repeat(np.arange(first, first + 1_000, dtype=float)[:, None], len(INPUT_NAMES), axis=1))
            assert sum(map(len, sample._rows)) <= 5_000
        chosen = balances(sample)
        assert (len(sample), len(set(chosen))) == (2_000, 2_000)
        tenths = np.histogram(np.array(chosen, dtype=float), bins=10, range=(0, 40_000))[0]
        assert tenths.min() > 140  # 200 expected, standard deviation 13
        assert tenths.max() < 260

    def test_depends_on_the_rows_alone_and_not_on_how_they_are_cut(self) -> None:
        found = []
        for size in (7, 100, 1_000):
            sample = RowSample(most=50)
            for first in range(0, 1_000, size):
                sample.add(rows(range(first, min(first + size, 1_000))))
            found.append(balances(sample))
        assert found[0] == found[1] == found[2]

    def test_comes_in_blocks_that_the_model_service_takes(self) -> None:
        sample = RowSample()
        sample.add(np.ones((25_000, len(INPUT_NAMES))))
        assert [len(block.columns["BALANCE"]) for block in sample.blocks()] == [10_000, 10_000, 5_000]


class TestInWords:
    def test_a_receipt_has_what_stands_out(self) -> None:
        imports = Imports(RangedRegistry(CREDIT_LIMIT=(50.0, 500.0)))
        imports.run(batch(("A", {}), ("B", {})))
        receipt = imports.run(
            batch(("A", {"BALANCE": HIGH, "CREDIT_LIMIT": 1_000.0}), ("B", {}), warnings=[warning(None, "x", None)]),
            dry_run=True,
        )
        text = described(receipt).splitlines()
        assert (
            "warning outside_training_range: 1 (CREDIT_LIMIT 1), first line 2: "
            "Credit limit: outside of what 99.8% of the training customers have, 50 to 500"
        ) in text
        assert "warning x: 1 (file), first a sentence about None" in text
        assert "1 stored customers would change their segment" in text
        assert f"drift against the training data of {OLD}: not_enough_data" in text
        assert "  too few" in text

    def test_a_receipt_says_why_the_drift_is_not_known(self) -> None:
        imports = Imports()
        imports.registry.failure = DOWN
        assert f"drift is not known: {DOWN}" in described(imports.run(batch(("A", {}))))


def test_the_list_of_imports_leaves_it_out(gateway: FakeGateway) -> None:
    names = ["CUST_ID", *inputs()]
    cells = ["A", *map(str, inputs().values())]
    file = f"{','.join(names)}\n{','.join(cells)}\n"
    receipt = gateway.client.post("/api/v1/imports?dry_run=true", data=file, content_type="text/csv").get_json()
    assert receipt["drift"]["rows"] == 1
    (listed,) = gateway.client.get("/api/v1/imports").get_json()["items"]
    assert {"warnings", "segment_changes", "drift", "drift_unavailable", "mirror"} == set(receipt) - set(listed) - {
        "errors"
    }
