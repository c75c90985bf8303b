"""The fake of `ImportRecords` keeps the port's contract."""

from __future__ import annotations

import pytest
from contracts.imports import ImportRecordsContract
from fakes.imports import InMemoryImportRecords


class TestInMemory(ImportRecordsContract):
    @pytest.fixture
    def records(self) -> InMemoryImportRecords:
        records = InMemoryImportRecords()
        begin = records.begin

        def heard(record, *beginning, **order):  # as the database does, by its own clock
            begin(record, *beginning, **order)
            records.note(record["id"], {})
            records.noted.clear()

        records.begin = heard  # type: ignore[method-assign]
        return records
