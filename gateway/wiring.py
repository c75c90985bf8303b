"""The composition root: the only place that builds clients, services and controllers (stores: `gateway.stores`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from flask import Flask

from gateway.controllers.api_keys import ApiKeyController
from gateway.controllers.audit import AuditController
from gateway.controllers.customers import (
    BatchController,
    CustomerController,
    CustomerListController,
    CustomerSegmentController,
    DeletionController,
    ErasureController,
)
from gateway.controllers.events import EventController
from gateway.controllers.exports import ExportController
from gateway.controllers.http import origin
from gateway.controllers.imports import ImportController
from gateway.controllers.models import AnalysisController, ModelController, PlotController, TrainingController
from gateway.controllers.predictions import PredictionController
from gateway.controllers.segments import SegmentController
from gateway.controllers.service import DocumentationController, ServiceController
from gateway.data_access.model_service.client import Certificates, ModelServiceClient
from gateway.data_access.model_service.model import HttpModel
from gateway.data_access.model_service.registry import Deadlines, HttpRegistry
from gateway.middleware.rate_limit import address
from gateway.middleware.request_log import current_request_id
from gateway.routes import (
    Resource,
    api_keys,
    audit,
    customers,
    events,
    exports,
    imports,
    models,
    predictions,
    segments,
    service,
)
from gateway.schemas.paging import Cursors
from gateway.services.access.api_keys import ApiKeyService
from gateway.services.access.authentication import Authentication, TokenCheck, build_authentication
from gateway.services.access.concurrency import ConcurrencyLimits, concurrency_limits
from gateway.services.access.idempotency import IdempotencyService
from gateway.services.access.rate_limits import Limits, limits
from gateway.services.audit import Auditor, AuditService
from gateway.services.customers.assignment import Assigner, Reconciler
from gateway.services.customers.batches import BatchService
from gateway.services.customers.bulk_writes import BulkWriter
from gateway.services.customers.customers import CustomerService
from gateway.services.customers.deletions import DeletionService
from gateway.services.customers.erasures import Erasable, ErasureService
from gateway.services.customers.exports import ExportService
from gateway.services.customers.lists import CustomerLists
from gateway.services.customers.segment import CustomerSegmentService
from gateway.services.customers.store import CustomerStore
from gateway.services.events.feed import FeedService
from gateway.services.events.news import LogNews
from gateway.services.events.recorder import Recorder
from gateway.services.events.relay import Relay
from gateway.services.imports.comparison import TrainingComparison
from gateway.services.imports.imports import ImportService
from gateway.services.models.activations import ActivationService, ModelHistory
from gateway.services.models.analyses import AnalysisService
from gateway.services.models.model import Model
from gateway.services.models.predictions import PredictionService
from gateway.services.models.registry import ModelRegistry
from gateway.services.models.segment_sizes import SegmentSizes
from gateway.services.models.segments import SegmentService
from gateway.services.models.trainings import ErasableTrainings, TrainingService
from gateway.services.schema import SchemaUpkeep
from gateway.services.service import HealthService
from gateway.settings import Settings
from gateway.stores import Stores, connect, mongo_stores


@dataclass(frozen=True, slots=True)
class Services:
    """Every service, ready for use by controllers, the worker and the command line.

    What only passes on what the model service says needs no service in between: `registry` is a port.
    """

    authentication: Authentication
    idempotency: IdempotencyService
    audit: AuditService
    activations: ActivationService
    model_history: ModelHistory
    api_keys: ApiKeyService
    customers: CustomerService
    customer_lists: CustomerLists
    deletions: DeletionService
    erasures: ErasureService
    batches: BatchService
    customer_segments: CustomerSegmentService
    predictions: PredictionService
    segments: SegmentService
    registry: ModelRegistry
    trainings: TrainingService
    analyses: AnalysisService
    health: HealthService
    imports: ImportService
    exports: ExportService
    reconciler: Reconciler
    relay: Relay
    feed: FeedService
    schema_upkeep: SchemaUpkeep
    concurrency_limits: ConcurrencyLimits
    limits: Limits


def build_services(app: Flask, settings: Settings) -> Services:
    """Build the services on MongoDB and the model service over HTTP."""
    stores = mongo_stores(connect(app, settings), settings)
    files = Certificates(
        settings.model_service_ca, settings.model_service_client_cert, settings.model_service_client_key
    )
    client = ModelServiceClient(
        settings.model_service_url, settings.model_service_secret, files, 4 * settings.threads, current_request_id
    )
    model = HttpModel(client, settings.bulk_deadline)
    deadlines = Deadlines(reading=settings.prediction_deadline, carrying=settings.analysis_deadline)
    registry = HttpRegistry(client, deadlines)
    return assemble(stores, model, registry, settings, _trusted_tokens(settings))


def _trusted_tokens(settings: Settings) -> TokenCheck | None:
    if settings.oidc_issuer is None:
        return None
    from gateway.data_access.oidc.bearer_tokens import trusted_tokens  # 14 MB of cryptography, for an issuer alone

    return trusted_tokens(settings)


def assemble(
    stores: Stores, model: Model, registry: ModelRegistry, settings: Settings, tokens: TokenCheck | None = None
) -> Services:
    """Build the services on any adapters of the ports; without `tokens` only API keys open."""
    store, together, strict = stores.customers, stores.transactions, settings.require_if_match
    assigner, auditor = Assigner(model, settings.assignment_deadline), Auditor(stores.audit, origin)
    recorder = Recorder(stores.outboxes, stores.orders, origin)
    history = ModelHistory(registry, stores.outboxes, stores.orders, together)
    writing = CustomerService(store, assigner, stores.outboxes, origin, require_revision=strict)
    bound, deadline = concurrency_limits(settings.threads), settings.prediction_deadline
    authentication, known_keys = build_authentication(stores.keys, tokens, lambda _: bound.keys.held(address()))
    return Services(
        authentication=authentication,
        idempotency=IdempotencyService(stores.idempotency, settings.idempotency_hours),
        audit=AuditService(stores.audit),
        activations=ActivationService(registry, recorder, stores.orders, history),
        model_history=history,
        api_keys=ApiKeyService(stores.keys, known_keys.forget, together, recorder),
        customers=writing,
        customer_lists=CustomerLists(store),
        deletions=_deletions(stores, settings),
        erasures=_erasures(stores, registry, settings),
        batches=_batches(store, assigner, settings, auditor),
        customer_segments=CustomerSegmentService(writing, store, model, assigner, deadline, stores.outboxes, origin),
        predictions=PredictionService(model, deadline),
        segments=SegmentService(SegmentSizes(store.segment_counts), model, registry, deadline, recorder),
        registry=registry,
        trainings=TrainingService(store, registry, recorder),
        analyses=AnalysisService(store, registry),
        health=HealthService(store, model, stores.schema),
        imports=ImportService(store, assigner, stores.imports, auditor, _comparison(registry, settings)),
        exports=ExportService(store),
        reconciler=Reconciler(store, model, assigner),
        relay=Relay(stores.outboxes),
        feed=FeedService(stores.changes, together, LogNews(stores.changes.head)),
        schema_upkeep=SchemaUpkeep(stores.schema, stores.imports.loading),
        concurrency_limits=bound,
        limits=_rate_limits(stores, settings, bound),
    )


def _comparison(registry: ModelRegistry, settings: Settings) -> TrainingComparison:
    return TrainingComparison(registry, settings.bulk_deadline)


def _batches(store: CustomerStore, assigner: Assigner, settings: Settings, auditor: Auditor) -> BatchService:
    strict, deadline = settings.require_if_match, settings.assignment_deadline
    writer = BulkWriter(
        store,
        assigner,
        require_revision=strict,
        deadline=deadline,
        auditor=auditor,
        origin=origin,
        cause="customer_data",
    )
    return BatchService(writer)


def _deletions(stores: Stores, settings: Settings) -> DeletionService:
    retention, strict = timedelta(days=settings.deleted_retention_days), settings.require_if_match
    kept, together = stores.deleted, stores.transactions
    return DeletionService(
        stores.customers,
        kept,
        stores.outboxes,
        together,
        retention,
        origin,
        require_revision=strict,
        seconds=settings.bulk_deadline,
    )


def _erasures(stores: Stores, registry: ModelRegistry, settings: Settings) -> ErasureService:
    return ErasureService(
        stores.customers,
        stores.deleted,
        stores.erasures,
        stores.outboxes,
        stores.transactions,
        erasables(stores, registry),
        settings.secret_key,
        origin,
        require_revision=settings.require_if_match,
    )


def _rate_limits(stores: Stores, settings: Settings, bound: ConcurrencyLimits) -> Limits:
    rates = settings.rate_limit, settings.rate_limit_bulk, settings.rate_limit_anonymous
    return limits(stores.quotas, bound.quotas.held, *rates)


def erasables(stores: Stores, registry: ModelRegistry) -> tuple[Erasable, ...]:
    """Return all that may hold something about a customer, beside the stores of customers and of deleted ones."""
    return (stores.idempotency, stores.audit, ErasableTrainings(registry))


def build_resources(services: Services, settings: Settings, document: Callable[[], bytes]) -> tuple[Resource, ...]:
    """Build the controllers on the services; return all resources, in the order of the OpenAPI document.

    Parameters
    ----------
    document : makes the OpenAPI document, as JSON.
    """
    s, registry, most = services, services.registry, settings.max_upload_bytes
    lists = CustomerListController(s.customer_lists, Cursors(settings.secret_key))
    models_, plots = ModelController(registry, s.activations), PlotController(registry)
    return (
        customers.customers(
            CustomerController(s.customers, s.deletions, s.erasures), lists, BatchController(s.batches)
        ),
        customers.segments_of_customers(CustomerSegmentController(s.customer_segments)),
        imports.imports(ImportController(s.imports, most, settings.upload_folder)),
        exports.exports(ExportController(s.exports)),
        customers.deletions(DeletionController(s.deletions), ErasureController(s.erasures)),
        predictions.predictions(PredictionController(s.predictions)),
        segments.segments(SegmentController(s.segments)),
        models.models(models_, plots, AnalysisController(s.analyses, registry)),
        models.trainings(TrainingController(registry, s.trainings, most)),
        api_keys.api_keys(ApiKeyController(s.api_keys)),
        events.events(EventController(s.feed)),
        audit.audit(AuditController(s.audit)),
        service.service(ServiceController(s.health), DocumentationController(document, registry)),
    )
