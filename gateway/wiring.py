"""The composition root: the only place that builds stores, clients, services and controllers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from flask import Flask
from flask_pymongo import PyMongo
from pymongo import WriteConcern
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from gateway.controllers.customer_segments import CustomerSegmentController
from gateway.controllers.customers import CustomerController
from gateway.controllers.models import ModelController
from gateway.controllers.pictures import AnalysisController, PictureController
from gateway.controllers.predictions import PredictionController
from gateway.controllers.segments import SegmentController
from gateway.controllers.service import ServiceController
from gateway.controllers.trainings import TrainingController
from gateway.data_access.customer_store import MongoCustomerStore
from gateway.data_access.fresh_calls import FreshCalls
from gateway.data_access.http_registry import Deadlines, HttpRegistry
from gateway.data_access.model_client import HttpModel
from gateway.request_log import current_request_id
from gateway.services.analyses import AnalysisService
from gateway.services.assignment import Assigner
from gateway.services.customer_segments import CustomerSegmentService
from gateway.services.customers import CustomerService
from gateway.services.health import HealthService
from gateway.services.imports import ImportService
from gateway.services.ports import CustomerStore, Model
from gateway.services.predictions import PredictionService
from gateway.services.reconciliation import Reconciler
from gateway.services.registry_ports import Analyst, Gallery, ModelRegistry, TrainingOffice
from gateway.services.segments import SegmentService
from gateway.services.slots import Bounds, bounds
from gateway.services.trainings import TrainingService
from gateway.settings import Settings


class Registry(ModelRegistry, TrainingOffice, Gallery, Analyst, Protocol):
    """All that the model service offers beside predictions."""


@dataclass(frozen=True, slots=True)
class Services:
    """Every service, ready for use by controllers, the worker and the command line.

    What only passes on what the model service says needs no service in between: `registry` and `gallery` are ports.
    """

    customers: CustomerService
    customer_segments: CustomerSegmentService
    predictions: PredictionService
    segments: SegmentService
    registry: ModelRegistry
    trainings: TrainingService
    gallery: Gallery
    analyses: AnalysisService
    health: HealthService
    imports: ImportService
    reconciler: Reconciler
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Controllers:
    """Every controller."""

    customers: CustomerController
    customer_segments: CustomerSegmentController
    predictions: PredictionController
    segments: SegmentController
    models: ModelController
    trainings: TrainingController
    pictures: PictureController
    analyses: AnalysisController
    service: ServiceController


@dataclass(frozen=True, slots=True)
class Stores:
    """What is kept durably."""

    customers: CustomerStore


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
        timeoutMS=settings.mongodb_timeout * 1000,  # for an operation with all its retries: a hung server too
    )
    # Flask-PyMongo 3 puts BSON's JSON dialect in place, which reads types into request bodies.
    app.json = provider
    # An acknowledged write survives a fail-over and a killed mongod, and nothing is read that might not.
    assert mongo.db is not None  # settings refuse an address without a database
    return mongo.db.with_options(write_concern=WriteConcern("majority", j=True), read_concern=ReadConcern("majority"))


def mongo_stores(database: Database[dict[str, Any]], settings: Settings) -> Stores:
    """Return the stores on MongoDB."""
    return Stores(customers=MongoCustomerStore(database["customers"], settings.bulk_deadline))


def build_services(app: Flask, settings: Settings) -> Services:
    """Build the services on MongoDB and the model service over HTTP."""
    stores = mongo_stores(connect(app, settings), settings)
    url = settings.model_service_url
    model = HttpModel(url, settings.bulk_deadline, settings.threads, current_request_id)
    deadlines = Deadlines(reading=settings.prediction_deadline, carrying=settings.analysis_deadline)
    registry = HttpRegistry(FreshCalls(url, current_request_id), deadlines)
    return assemble(stores, model, registry, settings)


def assemble(stores: Stores, model: Model, registry: Registry, settings: Settings) -> Services:
    """Build the services on any adapters of the ports."""
    store = stores.customers
    assigner = Assigner(model, settings.assignment_deadline)
    customers = CustomerService(store, assigner)
    bound, deadline = bounds(settings.threads), settings.prediction_deadline
    return Services(
        customers=customers,
        customer_segments=CustomerSegmentService(customers, store, model, assigner, deadline, bound.waits),
        predictions=PredictionService(model, deadline),
        segments=SegmentService(store, model, registry, deadline),
        registry=registry,
        trainings=TrainingService(store, registry),
        gallery=registry,
        analyses=AnalysisService(store, registry),
        health=HealthService(store, model),
        imports=ImportService(store, assigner),
        reconciler=Reconciler(store, model, assigner),
        bounds=bound,
    )


def build_controllers(services: Services, settings: Settings) -> Controllers:
    """Build the controllers on the services."""
    return Controllers(
        customers=CustomerController(services.customers),
        customer_segments=CustomerSegmentController(services.customer_segments),
        predictions=PredictionController(services.predictions),
        segments=SegmentController(services.segments),
        models=ModelController(services.registry),
        trainings=TrainingController(services.trainings, settings.max_upload_bytes),
        pictures=PictureController(services.gallery),
        analyses=AnalysisController(services.analyses, services.gallery),
        service=ServiceController(services.health),
    )
