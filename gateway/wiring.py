"""The composition root: the only place that builds stores, clients, services and controllers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from flask import Flask
from flask_pymongo import PyMongo
from pymongo import WriteConcern
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern

from gateway.controllers.customers import CustomerController
from gateway.controllers.predictions import PredictionController
from gateway.controllers.segments import SegmentController
from gateway.controllers.service import ServiceController
from gateway.data_access.customer_store import MongoCustomerStore
from gateway.data_access.model_client import HttpModel
from gateway.request_log import current_request_id
from gateway.services.assignment import Assigner
from gateway.services.customers import CustomerService
from gateway.services.health import HealthService
from gateway.services.imports import ImportService
from gateway.services.ports import CustomerStore, Model
from gateway.services.predictions import PredictionService
from gateway.services.reconciliation import Reconciler
from gateway.services.segments import SegmentService
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """Every service, ready for use by controllers, the worker and the command line."""

    customers: CustomerService
    predictions: PredictionService
    segments: SegmentService
    health: HealthService
    imports: ImportService
    reconciler: Reconciler


@dataclass(frozen=True, slots=True)
class Controllers:
    """Every controller."""

    customers: CustomerController
    predictions: PredictionController
    segments: SegmentController
    service: ServiceController


def connect(app: Flask, settings: Settings) -> Collection[dict[str, Any]]:
    """Return the customers collection over Flask-PyMongo; connecting itself happens at the first use."""
    provider = app.json
    mongo = PyMongo(
        app,
        settings.mongodb_uri,
        username=settings.mongodb_username,
        password=settings.mongodb_password,
        serverSelectionTimeoutMS=settings.mongodb_timeout * 1000,
        connectTimeoutMS=settings.mongodb_timeout * 1000,
        timeoutMS=settings.mongodb_timeout * 1000,  # for an operation with all its retries: a hung server too
    )
    # Flask-PyMongo 3 puts BSON's JSON dialect in place, which reads types into request bodies.
    app.json = provider
    # An acknowledged write survives a fail-over and a killed mongod, and nothing is read that might not.
    durable = {"write_concern": WriteConcern("majority", j=True), "read_concern": ReadConcern("majority")}
    assert mongo.db is not None  # settings refuse an address without a database
    return cast(Collection[dict[str, Any]], mongo.db["customers"].with_options(**durable))


def build_services(app: Flask, settings: Settings) -> Services:
    """Build the services on MongoDB and the model service over HTTP."""
    store = MongoCustomerStore(connect(app, settings), settings.bulk_deadline)
    model = HttpModel(settings.model_service_url, settings.bulk_deadline, settings.threads, current_request_id)
    return assemble(store, model, settings)


def assemble(store: CustomerStore, model: Model, settings: Settings) -> Services:
    """Build the services on any adapters of the ports."""
    assigner = Assigner(model, settings.assignment_deadline)
    return Services(
        customers=CustomerService(store, assigner),
        predictions=PredictionService(model, settings.prediction_deadline),
        segments=SegmentService(store, model),
        health=HealthService(store, model),
        imports=ImportService(store, assigner),
        reconciler=Reconciler(store, model, assigner),
    )


def build_controllers(services: Services) -> Controllers:
    """Build the controllers on the services."""
    return Controllers(
        customers=CustomerController(services.customers),
        predictions=PredictionController(services.predictions),
        segments=SegmentController(services.segments),
        service=ServiceController(services.health),
    )
