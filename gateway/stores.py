"""What is kept durably, and where: the stores over MongoDB. Part of the composition root."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Flask
from flask_pymongo import PyMongo
from pymongo import WriteConcern
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from gateway.data_access.audit_store import MongoAuditTrail
from gateway.data_access.customer_store import MongoCustomerStore
from gateway.data_access.deleted_customers import MongoDeletedCustomers
from gateway.data_access.erasure_store import MongoErasureRecords
from gateway.data_access.idempotency_store import MongoIdempotencyStore
from gateway.data_access.import_store import MongoImportRecords
from gateway.data_access.key_store import MongoKeyStore
from gateway.data_access.rate_limit_storage import MongoQuotaStore
from gateway.services.audit import AuditTrail
from gateway.services.deletion_ports import DeletedCustomers
from gateway.services.erasure_records import ErasureRecords
from gateway.services.idempotency import IdempotencyStore
from gateway.services.import_records import ImportRecords
from gateway.services.key_ports import KeyStore
from gateway.services.ports import CustomerStore
from gateway.services.rate_limits import QuotaStore
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Stores:
    """What is kept durably."""

    customers: CustomerStore
    deleted: DeletedCustomers
    erasures: ErasureRecords
    keys: KeyStore
    audit: AuditTrail
    idempotency: IdempotencyStore
    imports: ImportRecords
    quotas: QuotaStore


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
    )
    # Flask-PyMongo 3 puts BSON's JSON dialect in place, which reads types into request bodies.
    app.json = provider
    # An acknowledged write survives a fail-over and a killed mongod, and nothing is read that might not.
    assert mongo.db is not None  # settings refuse an address without a database
    return mongo.db.with_options(write_concern=WriteConcern("majority", j=True), read_concern=ReadConcern("majority"))


def mongo_stores(database: Database[dict[str, Any]], settings: Settings) -> Stores:
    """Return the stores on MongoDB."""
    return Stores(
        customers=MongoCustomerStore(database["customers"], settings.bulk_deadline, settings.query_timeout),
        deleted=MongoDeletedCustomers(database["deleted_customers"]),
        erasures=MongoErasureRecords(database["erasures"]),
        keys=MongoKeyStore(database["api_keys"]),
        audit=MongoAuditTrail(database["audit"], settings.audit_retention_days),
        idempotency=MongoIdempotencyStore(database["idempotency"]),
        imports=MongoImportRecords(
            database["imports"], database["import_faults"], timedelta(days=settings.import_retention_days)
        ),
        quotas=MongoQuotaStore(database["rate_limits"]),
    )
