"""What workers note of re-scoring on a real mongod, and what becomes of it when they are killed."""

from __future__ import annotations

import pytest
from contracts.assignments import RescoringRecordsContract, WorkerReportsContract
from pymongo.collection import Collection

from gateway.data_access.mongo.assignments.reports import REPORT_INDEXES, MongoWorkerReports
from gateway.data_access.mongo.assignments.rescorings import MongoRescoringRecords
from gateway.data_access.mongo.schema import CollectionSchema, MongoSchema


@pytest.fixture
def database_name(emptied_database: str) -> str:
    """One database for all tests of this module."""
    return emptied_database


@pytest.fixture
def rescorings(customers: Collection) -> MongoRescoringRecords:
    return MongoRescoringRecords(customers.database["rescorings"])


@pytest.fixture
def workers(customers: Collection) -> MongoWorkerReports:
    MongoSchema(customers.database, [CollectionSchema("worker_state", REPORT_INDEXES)]).bring_up_to_date()
    return MongoWorkerReports(customers.database["worker_state"])


class TestRescoringRecordsOnMongoDB(RescoringRecordsContract):
    pass


class TestWorkerReportsOnMongoDB(WorkerReportsContract):
    pass
