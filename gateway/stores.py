"""What is kept durably, and where: the stores over MongoDB. Part of the composition root."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from flask import Flask
from flask_pymongo import PyMongo
from pymongo import WriteConcern
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from gateway.data_access.mongo import collection, deletions, erasures, imports
from gateway.data_access.mongo.access import ended_sessions, idempotency, one_time_tokens, rate_limits
from gateway.data_access.mongo.access.api_keys import MongoKeyStore
from gateway.data_access.mongo.access.ended_sessions import MongoEndedSessions
from gateway.data_access.mongo.access.idempotency import MongoIdempotencyStore
from gateway.data_access.mongo.access.one_time_tokens import MongoOneTimeTokens
from gateway.data_access.mongo.access.rate_limits import MongoQuotaStore
from gateway.data_access.mongo.assignments.reports import REPORT_INDEXES, MongoWorkerReports
from gateway.data_access.mongo.assignments.rescorings import MongoRescoringRecords
from gateway.data_access.mongo.backups.marker import refuse_half_restored
from gateway.data_access.mongo.backups.restoring import Restore
from gateway.data_access.mongo.backups.writer import Backup
from gateway.data_access.mongo.customer_schema import customer_schema
from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.data_access.mongo.deletions import MongoDeletedCustomers
from gateway.data_access.mongo.erasures import MongoErasureRecords
from gateway.data_access.mongo.events import as_of, changes, outboxes
from gateway.data_access.mongo.events.as_of import MongoPastSegments
from gateway.data_access.mongo.events.changes import MongoChangeLog
from gateway.data_access.mongo.events.outboxes import MongoOrders, MongoOutboxes
from gateway.data_access.mongo.imports import MongoImportRecords
from gateway.data_access.mongo.schema import CollectionSchema, MongoSchema
from gateway.data_access.mongo.segments import snapshots
from gateway.data_access.mongo.segments.counts import MongoSegmentCounter
from gateway.data_access.mongo.segments.descriptions import MongoDescriptions
from gateway.data_access.mongo.segments.drift_checks import MongoDriftChecks
from gateway.data_access.mongo.segments.snapshots import MongoSnapshots
from gateway.data_access.mongo.segments.transitions import MongoTransitions
from gateway.data_access.mongo.spans import MongoSpans
from gateway.data_access.mongo.webhooks import deliveries as webhook_deliveries
from gateway.data_access.mongo.webhooks.deliveries import MongoDeliveries
from gateway.data_access.mongo.webhooks.webhooks import MongoWebhooks
from gateway.services.access.api_keys import KeyStore
from gateway.services.access.ended_sessions import EndedSessionStore
from gateway.services.access.idempotency import IdempotencyStore
from gateway.services.access.one_time_tokens import OneTimeTokenStore
from gateway.services.access.rate_limits import QuotaStore
from gateway.services.assignments.reports import WorkerReports
from gateway.services.assignments.rescorings import RescoringRecords
from gateway.services.customers.deletions import DeletedCustomers
from gateway.services.customers.erasures import ErasureRecords
from gateway.services.customers.store import CustomerStore
from gateway.services.events.as_of import PastSegments
from gateway.services.events.log import ChangeLog, Orders, Outboxes
from gateway.services.imports.records import ImportRecords
from gateway.services.models.descriptions import KeptDescriptions
from gateway.services.models.drift_watch import DriftChecks
from gateway.services.models.segment_snapshots import SegmentCounter, Snapshots
from gateway.services.models.transitions import TransitionStore
from gateway.services.schema import Schema
from gateway.services.transactions import Transactions
from gateway.services.webhooks.webhook import DeliveryStore, WebhookStore
from gateway.settings import Settings
from shared.telemetry import traces


@dataclass(frozen=True, slots=True)
class Stores:
    """What is kept durably."""

    customers: CustomerStore
    deleted: DeletedCustomers
    erasures: ErasureRecords
    keys: KeyStore
    one_time_tokens: OneTimeTokenStore
    ended_sessions: EndedSessionStore
    outboxes: Outboxes
    orders: Orders
    changes: ChangeLog
    past: PastSegments
    idempotency: IdempotencyStore
    imports: ImportRecords
    rescorings: RescoringRecords
    workers: WorkerReports
    quotas: QuotaStore
    segment_counter: SegmentCounter
    snapshots: Snapshots
    transitions: TransitionStore
    descriptions: KeptDescriptions
    drift: DriftChecks
    webhooks: WebhookStore
    webhook_deliveries: DeliveryStore
    transactions: Transactions
    schema: Schema


def connect(app: Flask, settings: Settings) -> Database[dict[str, Any]]:
    """Return the database over Flask-PyMongo; connecting itself happens at the first use."""
    provider = app.json
    mongo = PyMongo(
        app,
        settings.mongodb_uri,
        username=settings.mongodb_username,
        password=settings.mongodb_password,
        serverSelectionTimeoutMS=settings.mongodb_timeout * 1000,
        connectTimeoutMS=settings.mongodb_timeout * 1000,
        socketTimeoutMS=settings.mongodb_timeout * 1000,  # where timeoutMS is off: MongoCustomerStore's queries
        timeoutMS=settings.mongodb_timeout * 1000,  # for an operation with all its retries: a hung server too
        **({"event_listeners": [MongoSpans()]} if traces.on() else {}),
    )
    # Flask-PyMongo 3 puts BSON's JSON dialect in place, which reads types into request bodies.
    app.json = provider
    # An acknowledged write survives a fail-over and a killed mongod, and nothing is read that might not.
    assert mongo.db is not None  # settings refuse an address without a database
    return mongo.db.with_options(write_concern=WriteConcern("majority", j=True), read_concern=ReadConcern("majority"))


def require_replica_set(settings: Settings, seconds: float = 2.0, *, whole: bool = True) -> None:
    """Do nothing where MongoDB has transactions, or cannot be reached within some `seconds`.

    Parameters
    ----------
    whole : whether the database must not be half restored, either.

    Raises
    ------
    StoreError
    """
    database = connect(Flask("start"), settings)
    try:
        if collection.require_replica_set(database.client, seconds) and whole:
            refuse_half_restored(database)
    finally:
        database.client.close()


def mongo_stores(database: Database[dict[str, Any]], settings: Settings) -> Stores:
    """Return the stores on MongoDB."""
    transactions = collection.MongoTransactions(database, settings.mongodb_timeout)
    return Stores(
        customers=MongoCustomerStore(database["customers"], settings.bulk_deadline, settings.query_timeout),
        deleted=MongoDeletedCustomers(database["deleted_customers"]),
        erasures=MongoErasureRecords(database["erasures"]),
        keys=MongoKeyStore(database["api_keys"]),
        one_time_tokens=MongoOneTimeTokens(database["one_time_tokens"]),
        ended_sessions=MongoEndedSessions(database["ended_sessions"]),
        outboxes=MongoOutboxes(database, transactions),
        orders=MongoOrders(database),
        changes=MongoChangeLog(database, timedelta(days=settings.history_retention_days)),
        past=MongoPastSegments(database, settings.query_timeout),
        idempotency=MongoIdempotencyStore(database["idempotency"]),
        imports=MongoImportRecords(
            database["imports"], database["import_faults"], timedelta(days=settings.import_retention_days)
        ),
        rescorings=MongoRescoringRecords(database["rescorings"]),
        workers=MongoWorkerReports(database["worker_state"]),
        quotas=MongoQuotaStore(database["rate_limits"]),
        segment_counter=MongoSegmentCounter(database["customers"]),
        snapshots=MongoSnapshots(database["segment_snapshots"]),
        transitions=MongoTransitions(database, settings.bulk_deadline),
        descriptions=MongoDescriptions(database["model_description"]),
        drift=MongoDriftChecks(database["drift_checks"]),
        webhooks=MongoWebhooks(database["webhooks"]),
        webhook_deliveries=MongoDeliveries(database["webhook_deliveries"]),
        transactions=transactions,
        schema=MongoSchema(database, schema_of(settings)),
    )


BACKED_UP: Final = (
    "counters",
    "erasures",
    "changes",
    "former_values",
    "erased_ids",
    "outbox",
    "customers",
    "deleted_customers",
    "api_keys",
    "idempotency",
    "imports",
    "import_faults",
    "rescorings",
    "segment_snapshots",
    "model_description",
    "drift_checks",
    "webhooks",
    "webhook_deliveries",
    "audit",  # of earlier versions
)
"""The collections that a backup has: all that are used, but those that it leaves out on purpose, which a test holds."""


def backup(database: Database[dict[str, Any]], settings: Settings) -> Backup:
    """Return what takes a backup of the database."""
    return Backup(database, BACKED_UP, secret_mark(settings))


def restore(database: Database[dict[str, Any]], settings: Settings, folder: Path) -> Restore:
    """Return what brings the backup of a folder into the database.

    Raises
    ------
    BackupError
    """
    return Restore(database, collection.MongoTransactions(database, settings.mongodb_timeout), folder, BACKED_UP)


def secret_mark(settings: Settings) -> str:
    """Return by what a backup knows the GATEWAY_SECRET_KEY again; it does not tell it."""
    return hmac.digest(settings.secret_key.encode(), b"backup", "sha256").hex()[:16]


def schema_of(settings: Settings) -> tuple[CollectionSchema, ...]:
    """Return what the collections should have."""
    return (
        customer_schema("customers"),
        CollectionSchema("deleted_customers", (*deletions.INDEXES, outboxes.WAITING_INDEX), retired=deletions.RETIRED),
        CollectionSchema("erasures", erasures.INDEXES),
        CollectionSchema("outbox", (outboxes.WAITING_INDEX,)),
        CollectionSchema("changes", (*changes.INDEXES, as_of.LEFT_INDEX)),
        CollectionSchema("erased_ids", changes.ERASED_ID_INDEXES),
        CollectionSchema("former_values", changes.value_indexes(settings.history_retention_days)),
        CollectionSchema("idempotency", idempotency.INDEXES),
        CollectionSchema("imports", imports.RECORD_INDEXES),
        CollectionSchema("import_faults", imports.FAULT_INDEXES),
        CollectionSchema("segment_snapshots", snapshots.INDEXES),
        CollectionSchema("webhook_deliveries", webhook_deliveries.indexes(settings.webhook_log_days)),
        CollectionSchema("worker_state", REPORT_INDEXES),
        CollectionSchema("rate_limits", rate_limits.INDEXES),
        CollectionSchema("one_time_tokens", one_time_tokens.INDEXES),
        CollectionSchema("ended_sessions", ended_sessions.INDEXES),
    )
