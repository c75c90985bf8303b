"""The fakes of what workers note of re-scoring keep the ports' contracts."""

from __future__ import annotations

import pytest
from contracts.assignments import RescoringRecordsContract, WorkerReportsContract
from fakes.assignments import InMemoryRescoringRecords, InMemoryWorkerReports


class TestRescoringRecords(RescoringRecordsContract):
    @pytest.fixture
    def rescorings(self) -> InMemoryRescoringRecords:
        return InMemoryRescoringRecords()


class TestWorkerReports(WorkerReportsContract):
    @pytest.fixture
    def workers(self) -> InMemoryWorkerReports:
        return InMemoryWorkerReports()
