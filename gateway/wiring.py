"""The composition root: the only place that builds clients, services and controllers (stores: `gateway.stores`)."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Collection, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from flask import Flask

from gateway.controllers.api_keys import ApiKeyController
from gateway.controllers.assignments import AssignmentsController
from gateway.controllers.audit import AuditController
from gateway.controllers.customers import (
    BatchController,
    CustomerController,
    CustomerHistoryController,
    CustomerListController,
    CustomerSegmentController,
    DeletionController,
    ErasureController,
)
from gateway.controllers.events import EventController
from gateway.controllers.exports import ExportController
from gateway.controllers.http import origin
from gateway.controllers.imports import ImportController, SampleController
from gateway.controllers.models import AnalysisController, ModelController, PlotController, TrainingController
from gateway.controllers.predictions import PredictionController
from gateway.controllers.segments import SegmentController
from gateway.controllers.service import AlertController, DocumentationController, ServiceController
from gateway.controllers.webhooks import WebhookController, WebhookDeliveryController
from gateway.data_access.model_service.client import Certificates, ModelServiceClient
from gateway.data_access.model_service.model import HttpModel
from gateway.data_access.model_service.registry import Deadlines, HttpRegistry
from gateway.data_access.webhooks.receiver import HttpReceiver
from gateway.files.reader import CustomerFile
from gateway.middleware.rate_limit import address
from gateway.pages.controllers.api_keys import ApiKeyPageController
from gateway.pages.controllers.audit import AuditPageController
from gateway.pages.controllers.customers import (
    CustomerPageController,
    CustomerTableController,
    DeletedCustomersController,
)
from gateway.pages.controllers.imports import ImportPagesController
from gateway.pages.controllers.models import ModelPages
from gateway.pages.controllers.overview import OverviewController
from gateway.pages.controllers.segments import SegmentPagesController
from gateway.pages.controllers.settings import SettingsController
from gateway.pages.controllers.sign_in import SignInController
from gateway.pages.controllers.static_files import StaticFileController
from gateway.pages.controllers.webhooks import WebhookPagesController
from gateway.pages.controllers.what_if import WhatIfController
from gateway.pages.routes import all_pages
from gateway.pages.routes.customers import customers as customer_pages
from gateway.pages.routes.imports import imports as import_pages
from gateway.pages.routes.models import models as model_pages
from gateway.pages.routes.overview import overview
from gateway.pages.routes.segments import segments as segment_pages
from gateway.pages.routes.settings import settings as settings_pages
from gateway.pages.routes.sign_in import sign_in
from gateway.pages.routes.webhooks import webhooks as webhook_pages
from gateway.pages.routes.what_if import what_if
from gateway.routes import (
    Resource,
    api_keys,
    assignments,
    audit,
    customers,
    events,
    exports,
    imports,
    models,
    predictions,
    segments,
    service,
    webhooks,
)
from gateway.schemas.paging import Cursors
from gateway.services.access.api_keys import ApiKeyService
from gateway.services.access.authentication import Authentication, KeyCache, TokenCheck, build_authentication
from gateway.services.access.concurrency import ConcurrencyLimits, concurrency_limits
from gateway.services.access.ended_sessions import EndedSessions
from gateway.services.access.idempotency import IdempotencyService
from gateway.services.access.issuer_sign_in import Issuer, IssuerSignIn
from gateway.services.access.one_time_tokens import OneTimeTokens
from gateway.services.access.rate_limits import Limits, limits
from gateway.services.access.sessions import Sessions
from gateway.services.alerts import AlertService
from gateway.services.assignments.reconciler import Reconciler
from gateway.services.assignments.reports import Reporter
from gateway.services.assignments.rescorings import Rescorings
from gateway.services.assignments.status import AssignmentsStatusService
from gateway.services.customers.assignment import Assigner
from gateway.services.customers.batches import BatchService
from gateway.services.customers.bulk_writes import BulkWriter
from gateway.services.customers.customers import CustomerService
from gateway.services.customers.deletions import DeletionService
from gateway.services.customers.digest import keyed_digest, log_digest
from gateway.services.customers.erasures import Erasable, ErasureService
from gateway.services.customers.exports import ExportService
from gateway.services.customers.lists import CustomerLists
from gateway.services.customers.segment import CustomerSegmentService
from gateway.services.errors import SampleMissing
from gateway.services.events.as_of import AsOfService
from gateway.services.events.audit import AuditService, ErasableChanges
from gateway.services.events.feed import FeedService
from gateway.services.events.history import HistoryService
from gateway.services.events.log_watcher import LogWatcher
from gateway.services.events.recorder import Recorder
from gateway.services.events.relay import Relay
from gateway.services.events.summaries import ChangeSummaryService
from gateway.services.imports.comparison import TrainingComparison
from gateway.services.imports.imports import ImportService
from gateway.services.imports.sample import SampleFile, SampleService
from gateway.services.models.activations import ActivationService, ModelHistory
from gateway.services.models.analyses import AnalysisService
from gateway.services.models.descriptions import ModelDescriptions
from gateway.services.models.drift_watch import DriftWatch
from gateway.services.models.former_names import FormerNames
from gateway.services.models.model import Model
from gateway.services.models.predictions import PredictionService
from gateway.services.models.registry import ModelRegistry
from gateway.services.models.segment_counting import DescriptionUpkeep, SegmentCounting
from gateway.services.models.segment_snapshots import SegmentSizes
from gateway.services.models.segments import SegmentService
from gateway.services.models.trainings import ErasableTrainings, TrainingService
from gateway.services.models.transitions import TransitionService
from gateway.services.schema import SchemaUpkeep
from gateway.services.service import HealthService
from gateway.services.webhooks.deliveries import ErasableDeliveries, WebhookDeliveries, deliveries_status
from gateway.services.webhooks.destinations import Destinations
from gateway.services.webhooks.signing import Signing
from gateway.services.webhooks.webhook import Receiver
from gateway.services.webhooks.webhooks import WebhookService
from gateway.settings import Settings
from gateway.stores import Stores, connect, mongo_stores
from shared.metrics.text import metrics_text
from shared.model_contract import CSV
from shared.telemetry.logs import current_request_id

SAMPLE: Final = Path(__file__).resolve().parents[1] / "data" / "sample.csv"


@dataclass(frozen=True, slots=True)
class SegmentServices:
    """What is said of the segments, and the worker's duties that it comes from."""

    descriptions: ModelDescriptions
    now: SegmentService
    sizes: SegmentSizes
    transitions: TransitionService
    as_of: AsOfService
    counting: SegmentCounting
    upkeep: DescriptionUpkeep


@dataclass(frozen=True, slots=True)
class ModelServices:
    """The versions of the model, as the model service keeps them, and what this tier adds.

    What only passes on what the model service says needs no service in between: `registry` is a port.
    """

    registry: ModelRegistry
    activations: ActivationService
    history: ModelHistory
    trainings: TrainingService
    analyses: AnalysisService
    drift: DriftWatch


@dataclass(frozen=True, slots=True)
class AccessServices:
    """Who calls, in a session or not, how often and how many at once, and what happens when a request is repeated.

    `issuer_sign_in` is None where nobody signs in at an issuer.
    """

    authentication: Authentication
    sessions: Sessions
    one_time_tokens: OneTimeTokens
    issuer_sign_in: IssuerSignIn | None
    idempotency: IdempotencyService
    concurrency_limits: ConcurrencyLimits
    limits: Limits


@dataclass(frozen=True, slots=True)
class AssignmentServices:
    """The worker's duty that gives customers their segments, and what is said of it."""

    reconciler: Reconciler
    status: AssignmentsStatusService


@dataclass(frozen=True, slots=True)
class EventServices:
    """What happens, for those who ask and those who want to be told; and the worker's duty that tells them."""

    feed: FeedService
    summaries: ChangeSummaryService
    webhooks: WebhookService
    deliveries: WebhookDeliveries


@dataclass(frozen=True, slots=True)
class Services:
    """Every service, ready for use by controllers, the worker and the command line."""

    access: AccessServices
    audit: AuditService
    api_keys: ApiKeyService
    customers: CustomerService
    customer_lists: CustomerLists
    deletions: DeletionService
    erasures: ErasureService
    batches: BatchService
    customer_segments: CustomerSegmentService
    history: HistoryService
    predictions: PredictionService
    segments: SegmentServices
    models: ModelServices
    health: HealthService
    imports: ImportService
    sample: SampleService
    exports: ExportService
    assignments: AssignmentServices
    relay: Relay
    events: EventServices
    schema_upkeep: SchemaUpkeep

    @property
    def alerts(self) -> AlertService:
        """What needs attention: it keeps nothing, and asks the others."""
        status, sizes = self.assignments.status, self.segments.sizes
        return AlertService(self.health, status, sizes, self.models.drift.latest, self.imports.latest)


def build_services(app: Flask, settings: Settings) -> Services:
    """Build the services on MongoDB and the model service over HTTP."""
    stores = mongo_stores(connect(app, settings), settings)
    return assemble(stores, *_model_service(settings), settings, *_trusted_issuer(settings))


def build_erasures(stores: Stores, settings: Settings) -> ErasureService:
    """Build what erases customers, for the command that restores a backup over a connection of its own."""
    _, registry = _model_service(settings)
    # Nobody has revisions to show: the order is that of an erasure which was carried out before.
    return _erasures(stores, registry, settings.model_copy(update={"require_if_match": False}))


def _model_service(settings: Settings) -> tuple[Model, ModelRegistry]:
    files = Certificates(
        settings.model_service_ca, settings.model_service_client_cert, settings.model_service_client_key
    )
    client = ModelServiceClient(
        settings.model_service_url, settings.model_service_secret, files, 4 * settings.threads, current_request_id.get
    )
    deadlines = Deadlines(reading=settings.prediction_deadline, carrying=settings.analysis_deadline)
    return HttpModel(client, settings.bulk_deadline), HttpRegistry(client, deadlines)


def _trusted_issuer(settings: Settings) -> tuple[TokenCheck | None, Issuer | None]:
    if settings.oidc_issuer is None:
        return None, None
    from gateway.data_access.oidc import trusted_issuer  # 14 MB of cryptography, for an issuer alone

    return trusted_issuer(settings)


def assemble(
    stores: Stores,
    model: Model,
    registry: ModelRegistry,
    settings: Settings,
    tokens: TokenCheck | None = None,
    issuer: Issuer | None = None,
    receiver: Receiver | None = None,
) -> Services:
    """Build the services on any adapters of the ports; without `tokens` and `issuer` only API keys open.

    Parameters
    ----------
    receiver : whoever is at webhooks' addresses; None for those on the network.
    """
    store, together, deadline = stores.customers, stores.transactions, settings.prediction_deadline
    assigner, recorder = Assigner(model, settings.assignment_deadline), _recorder(stores)
    writing = CustomerService(store, assigner, stores.outboxes, origin, require_revision=settings.require_if_match)
    segments_ = _segments(stores, model, registry, settings, recorder)
    deletions = _deletions(stores, settings)
    imports_ = _imports(stores, assigner, registry, deletions, settings)
    access, known_keys = _access(stores, settings, tokens, issuer)
    return Services(
        access=access,
        audit=AuditService(stores.changes),
        api_keys=ApiKeyService(stores.keys, known_keys.forget, together, recorder),
        customers=writing,
        customer_lists=CustomerLists(store),
        deletions=deletions,
        erasures=_erasures(stores, registry, settings),
        batches=_batches(stores, assigner, settings),
        customer_segments=_customer_segments(stores, writing, model, segments_.descriptions, deadline),
        history=_history(stores, model, segments_.descriptions, deadline),
        predictions=PredictionService(model, deadline),
        segments=segments_,
        models=_models(stores, model, registry, settings),
        health=HealthService(store, model, stores.schema),
        imports=imports_,
        sample=SampleService(store, imports_, deletions, _open_sample),
        exports=ExportService(store),
        assignments=_assignments(stores, model, registry, assigner, segments_.sizes, log_digest(settings.secret_key)),
        relay=Relay(stores.outboxes, stores.changes, settings.audit_retention_days),
        events=_events(stores, recorder, settings, receiver),
        schema_upkeep=SchemaUpkeep(stores.schema, stores.imports.loading),
    )


def _recorder(stores: Stores) -> Recorder:
    return Recorder(stores.outboxes, stores.orders, origin)


def _customer_segments(
    stores: Stores, customers_: CustomerService, model: Model, descriptions: ModelDescriptions, deadline: float
) -> CustomerSegmentService:
    store, outboxes = stores.customers, stores.outboxes
    return CustomerSegmentService(customers_, store, model, descriptions.names, deadline, outboxes, origin)


def _access(
    stores: Stores, settings: Settings, tokens: TokenCheck | None, issuer: Issuer | None
) -> tuple[AccessServices, KeyCache]:
    bound, secret = concurrency_limits(settings.threads), settings.secret_key

    def waiting(_: Hashable) -> AbstractContextManager[None]:
        return bound.keys.held(address())

    authentication, keys = build_authentication(stores.keys, tokens, waiting)
    sessions = Sessions(authentication, EndedSessions(stores.ended_sessions, waiting), secret)
    access = AccessServices(
        authentication=authentication,
        sessions=sessions,
        one_time_tokens=OneTimeTokens(stores.one_time_tokens, stores.keys),
        issuer_sign_in=IssuerSignIn(issuer, sessions, secret) if issuer else None,
        idempotency=IdempotencyService(stores.idempotency, settings.idempotency_hours),
        concurrency_limits=bound,
        limits=_rate_limits(stores, settings, bound),
    )
    return access, keys


def _history(stores: Stores, model: Model, descriptions: ModelDescriptions, deadline: float) -> HistoryService:
    log, outboxes = stores.changes, stores.outboxes
    return HistoryService(log, outboxes, stores.customers, stores.deleted, model, descriptions.known, deadline)


def _imports(
    stores: Stores, assigner: Assigner, registry: ModelRegistry, deletions: DeletionService, settings: Settings
) -> ImportService:
    comparison = TrainingComparison(registry, settings.bulk_deadline)
    together, records, log = stores.transactions, stores.imports, stores.outboxes
    return ImportService(stores.customers, assigner, records, log, together, comparison, deletions, origin)


def _open_sample(without: Collection[str]) -> SampleFile:
    if not SAMPLE.is_file():
        raise SampleMissing
    left_out = {cust_id.encode() for cust_id in without}
    lines = SAMPLE.read_bytes().splitlines(keepends=True)
    content = b"".join(line for line in lines if line.partition(b",")[0] not in left_out)
    return SampleFile(CustomerFile(CSV, [content]), len(content))


def _models(stores: Stores, model: Model, registry: ModelRegistry, settings: Settings) -> ModelServices:
    outboxes, orders, recorder = stores.outboxes, stores.orders, _recorder(stores)
    history = ModelHistory(registry, outboxes, orders, stores.transactions)
    analyses = AnalysisService(stores.customers, registry)
    return ModelServices(
        registry=registry,
        activations=ActivationService(registry, recorder, orders, history),
        history=history,
        trainings=TrainingService(stores.customers, registry, recorder),
        analyses=analyses,
        drift=DriftWatch(
            stores.drift,
            model,
            analyses,
            settings.drift_hours,
            settings.analysis_deadline,
            lambda: stores.customers.count((), exact=False).total,
        ),
    )


def _batches(stores: Stores, assigner: Assigner, settings: Settings) -> BatchService:
    writer = BulkWriter(
        stores.customers,
        assigner,
        origin,
        stores.outboxes,
        require_revision=settings.require_if_match,
        deadline=settings.assignment_deadline,
    )
    return BatchService(writer)


def _assignments(
    stores: Stores,
    model: Model,
    registry: ModelRegistry,
    assigner: Assigner,
    sizes: SegmentSizes,
    digest: Callable[[str], str],
) -> AssignmentServices:
    worker = _worker_name()
    rescorings = Rescorings(stores.rescorings, registry, stores.outboxes, stores.transactions, worker)
    return AssignmentServices(
        reconciler=Reconciler(stores.customers, model, assigner, rescorings, Reporter(stores.workers, worker), digest),
        status=AssignmentsStatusService(
            stores.workers,
            stores.rescorings,
            stores.outboxes,
            sizes.status,
            lambda: deliveries_status(stores.webhooks, stores.changes.head),
        ),
    )


def _worker_name() -> str:
    return f"{socket.gethostname()} {secrets.token_hex(4)}"


def _events(stores: Stores, recorder: Recorder, settings: Settings, receiver: Receiver | None) -> EventServices:
    feed = FeedService(stores.changes, stores.transactions, LogWatcher(stores.changes.head))
    destinations, signing = Destinations(settings.webhook_networks), Signing(settings.secret_key)
    kept, log, together = stores.webhooks, stores.webhook_deliveries, stores.transactions
    return EventServices(
        feed=feed,
        summaries=ChangeSummaryService(stores.changes),
        webhooks=WebhookService(kept, log, feed, together, recorder, destinations, signing),
        deliveries=WebhookDeliveries(
            kept,
            log,
            feed,
            receiver or HttpReceiver(destinations, settings.webhook_timeout, settings.webhook_ca),
            signing,
            _webhook_digest(settings),
            together,
            recorder,
            _worker_name(),
            settings.webhook_timeout,
            timedelta(hours=settings.webhook_give_up_hours),
        ),
    )


def _webhook_digest(settings: Settings) -> Callable[[str], str]:
    return lambda cust_id: keyed_digest(settings.secret_key, "webhooks", cust_id)


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
        *erasables(stores, registry, settings),
        settings.secret_key,
        origin,
        require_revision=settings.require_if_match,
    )


def _segments(
    stores: Stores, model: Model, registry: ModelRegistry, settings: Settings, recorder: Recorder
) -> SegmentServices:
    sizes = SegmentSizes(stores.snapshots, stores.segment_counter)
    deadlines = settings.prediction_deadline, settings.assignment_deadline
    descriptions = ModelDescriptions(model, registry, stores.descriptions, *deadlines)
    counts, head = stores.customers.segment_counts, stores.changes.head
    return SegmentServices(
        descriptions=descriptions,
        now=SegmentService(sizes, descriptions, registry, recorder),
        sizes=sizes,
        transitions=TransitionService(stores.transitions, stores.changes.memory, stores.outboxes.waiting),
        as_of=AsOfService(stores.past, stores.changes, stores.customers, descriptions.known),
        counting=SegmentCounting(stores.segment_counter, stores.snapshots, descriptions, counts, head),
        upkeep=DescriptionUpkeep(model, descriptions),
    )


def _rate_limits(stores: Stores, settings: Settings, bound: ConcurrencyLimits) -> Limits:
    rates = settings.rate_limit, settings.rate_limit_bulk, settings.rate_limit_anonymous
    return limits(stores.quotas, bound.quotas.held, *rates)


def erasables(stores: Stores, registry: ModelRegistry, settings: Settings) -> tuple[Erasable, Sequence[Erasable]]:
    """Return what is told of customers, and what else may hold something about them beside their own stores."""
    answers = ErasableDeliveries(stores.webhook_deliveries, _webhook_digest(settings))
    return ErasableChanges(stores.outboxes, stores.changes), (stores.idempotency, ErasableTrainings(registry), answers)


def build_pages(services: Services, settings: Settings) -> Resource:
    """Build the controllers of the pages for people on the services; return all their routes."""
    s, of = services, services.segments
    known, cursors = of.descriptions.known, Cursors(settings.secret_key)
    former = FormerNames(of.descriptions, s.models.registry).of
    return all_pages(
        sign_in(
            SignInController(s.access.sessions, s.access.one_time_tokens, s.access.issuer_sign_in),
            StaticFileController(),
        ),
        settings_pages(
            SettingsController(), ApiKeyPageController(s.api_keys), AuditPageController(s.audit, s.api_keys)
        ),
        customer_pages(
            CustomerTableController(s.customer_lists, cursors, known, former),
            CustomerPageController(s.customers, s.customer_segments, s.history, s.deletions, former),
            DeletedCustomersController(s.deletions, known, former),
        ),
        overview(
            OverviewController(
                of.now,
                of.sizes,
                s.events.summaries,
                s.assignments.status,
                s.models.drift.latest,
                s.alerts,
                s.sample,
                former,
            )
        ),
        what_if(WhatIfController(s.customers, of.descriptions)),
        model_pages(ModelPages(s.models.registry, s.models.drift, s.assignments.status)),
        segment_pages(SegmentPagesController(of.now, of.sizes, of.transitions, s.customer_lists, former)),
        import_pages(
            ImportPagesController(
                s.imports, of.descriptions.names, former, settings.max_upload_bytes, settings.deleted_retention_days
            )
        ),
        webhook_pages(WebhookPagesController(s.events.webhooks)),
    )


def build_resources(services: Services, settings: Settings, document: Callable[[], bytes]) -> tuple[Resource, ...]:
    """Build the controllers on the services; return all resources, in the order of the OpenAPI document.

    Parameters
    ----------
    document : makes the OpenAPI document, as JSON.
    """
    s, of, registry, most = services, services.segments, services.models.registry, settings.max_upload_bytes
    lists = CustomerListController(s.customer_lists, of.as_of, Cursors(settings.secret_key))
    models_, plots = ModelController(registry, s.models.activations), PlotController(registry)
    return (
        customers.customers(
            CustomerController(s.customers, s.deletions, s.erasures), lists, BatchController(s.batches)
        ),
        customers.segments_of_customers(
            CustomerSegmentController(s.customer_segments, of.as_of), CustomerHistoryController(s.history)
        ),
        imports.imports(ImportController(s.imports, most, settings.upload_folder), SampleController(s.sample)),
        exports.exports(ExportController(s.exports, of.descriptions.names)),
        customers.deletions(DeletionController(s.deletions), ErasureController(s.erasures)),
        predictions.predictions(PredictionController(s.predictions)),
        segments.segments(SegmentController(of.now, of.sizes, of.transitions, lists, of.as_of)),
        assignments.assignments(AssignmentsController(s.assignments.status)),
        models.models(models_, plots, AnalysisController(s.models.analyses, registry)),
        models.trainings(TrainingController(registry, s.models.trainings, most)),
        api_keys.api_keys(ApiKeyController(s.api_keys)),
        events.events(EventController(s.events.feed, s.events.summaries)),
        webhooks.webhooks(WebhookController(s.events.webhooks)),
        webhooks.deliveries(WebhookDeliveryController(s.events.webhooks)),
        audit.audit(AuditController(s.audit)),
        service.alerts(AlertController(s.alerts)),
        service.service(ServiceController(s.health, metrics_text), DocumentationController(document, registry)),
    )
