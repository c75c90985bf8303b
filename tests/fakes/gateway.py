"""The whole gateway over HTTP, on fakes of its ports."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from unittest.mock import patch

from flask import Flask
from flask.testing import FlaskClient
from support.judged import JudgedClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from fakes.api_keys import ADMIN_KEY, InMemoryKeyStore
from fakes.as_of import InMemoryPastSegments
from fakes.assignments import InMemoryRescoringRecords, InMemoryWorkerReports
from fakes.changes import InMemoryChangeLog, InMemoryOrders, InMemoryOutboxes
from fakes.deletions import InMemoryDeletedCustomers, InMemoryErasureRecords, InMemoryTransactions
from fakes.drift import InMemoryDriftChecks
from fakes.ended_sessions import InMemoryEndedSessions
from fakes.idempotency import InMemoryIdempotencyStore
from fakes.imports import InMemoryImportRecords
from fakes.model import FakeModel
from fakes.one_time_tokens import InMemoryOneTimeTokens
from fakes.rate_limits import InMemoryQuotaStore
from fakes.registry import FakeRegistry
from fakes.schema import InMemorySchema
from fakes.segments import InMemoryDescriptions, InMemorySegmentCounter, InMemorySnapshots, InMemoryTransitions
from fakes.store import InMemoryCustomerStore
from fakes.webhooks import FakeReceiver, InMemoryDeliveries, InMemoryWebhooks
from gateway.app import create_app
from gateway.services.events.change import Logged
from gateway.services.events.log import AuditFilters
from gateway.services.models.segment_snapshots import Snapshot
from gateway.settings import Settings
from gateway.stores import Stores
from gateway.wiring import Services, assemble

CUSTOMERS = "/api/v1/customers"
PREDICTIONS = "/api/v1/predictions"
SEGMENTS = "/api/v1/segments"
EXPORTS = "/api/v1/exports/customers"
MODELS = "/api/v1/models"
TRAININGS = "/api/v1/trainings"


_compile = Rule._compile_builder
_builders: dict[tuple[str | None, bool], Any] = {}


def _compiled_once(rule: Rule, append_unknown: bool = True) -> Any:
    """Return what Werkzeug compiles of a rule: doing it anew for each application takes most of the time to make one.

    It depends on nothing else as long as no rule has defaults.
    """
    assert not rule.defaults
    wanted = (rule.rule, append_unknown)
    if wanted not in _builders:
        _builders[wanted] = _compile(rule, append_unknown)
    return _builders[wanted]


class AdministratorClient(JudgedClient):
    """Shows an administrator's API key, unless a request brings an Authorization header of its own."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {ADMIN_KEY}"


DEFAULTS = Settings()
"""Made once: a thousand tests would read the environment as often."""


@dataclass
class FakeGateway:
    """The gateway's application with the fakes it stands on within reach."""

    settings: Settings = DEFAULTS
    store: Any = field(default_factory=InMemoryCustomerStore)
    deleted: Any = field(default_factory=InMemoryDeletedCustomers)
    erasures: Any = field(default_factory=InMemoryErasureRecords)
    keys: Any = field(default_factory=InMemoryKeyStore)
    one_time_tokens: Any = field(default_factory=InMemoryOneTimeTokens)
    ended_sessions: Any = field(default_factory=InMemoryEndedSessions)
    issuer: Any = None
    changes: Any = field(default_factory=InMemoryChangeLog)
    outboxes: Any = None
    orders: Any = None
    past: Any = None
    idempotency: Any = field(default_factory=InMemoryIdempotencyStore)
    imports: Any = field(default_factory=InMemoryImportRecords)
    rescorings: Any = field(default_factory=InMemoryRescoringRecords)
    workers: Any = field(default_factory=InMemoryWorkerReports)
    quotas: Any = field(default_factory=InMemoryQuotaStore)
    segment_counter: Any = None
    snapshots: Any = field(default_factory=InMemorySnapshots)
    transitions: Any = None
    descriptions: Any = field(default_factory=InMemoryDescriptions)
    drift: Any = field(default_factory=InMemoryDriftChecks)
    webhooks: Any = field(default_factory=InMemoryWebhooks)
    webhook_deliveries: Any = field(default_factory=InMemoryDeliveries)
    receiver: Any = field(default_factory=FakeReceiver)
    transactions: Any = None
    schema: Any = field(default_factory=InMemorySchema)
    model: FakeModel = field(default_factory=FakeModel)
    registry: FakeRegistry = field(default_factory=FakeRegistry)

    def __post_init__(self) -> None:
        if self.outboxes is None:
            self.outboxes = InMemoryOutboxes(self.changes, self.store, self.deleted)
        if self.orders is None:
            self.orders = InMemoryOrders(self.outboxes)
        if self.past is None:
            self.past = InMemoryPastSegments(self.store, self.deleted, self.changes, self.outboxes)
        self.segment_counter = self.segment_counter or InMemorySegmentCounter(self.store)
        self.transitions = self.transitions or InMemoryTransitions(self.changes, self.store)

    @property
    def stores(self) -> Stores:
        """What the services keep things in."""
        return Stores(
            customers=self.store,
            deleted=self.deleted,
            erasures=self.erasures,
            keys=self.keys,
            one_time_tokens=self.one_time_tokens,
            ended_sessions=self.ended_sessions,
            outboxes=self.outboxes,
            orders=self.orders,
            changes=self.changes,
            past=self.past,
            idempotency=self.idempotency,
            imports=self.imports,
            rescorings=self.rescorings,
            workers=self.workers,
            quotas=self.quotas,
            segment_counter=self.segment_counter,
            snapshots=self.snapshots,
            transitions=self.transitions,
            descriptions=self.descriptions,
            drift=self.drift,
            webhooks=self.webhooks,
            webhook_deliveries=self.webhook_deliveries,
            transactions=self.transactions or InMemoryTransactions(self._states),
            schema=self.schema,
        )

    def count_segments(self) -> Snapshot:
        """Count the customers of each segment, as the worker does after every change."""
        at, tallies = self.segment_counter.count()
        snapshot = Snapshot(at, tallies, self.changes.head(), self.model.current)
        self.snapshots.lead("test", 600)
        self.snapshots.keep("test", snapshot)
        return snapshot

    def _states(self) -> list[dict[Any, Any]]:
        """What takes part in transactions; a store on MongoDB does not, in one of the fakes."""
        kept = (
            (self.store, "customers"),
            (self.deleted, "copies"),
            (self.erasures, "erasures"),
            (self.keys, "keys"),
            (self.outboxes, "added"),
            (self.orders, "orders"),
            (self.orders, "seen"),
            (self.changes, "entries"),
            (self.changes, "values"),
            (self.changes, "erased_ids"),
            (self.imports, "records"),
            (self.imports, "told"),
            (self.rescorings, "counts"),
            (self.webhooks, "webhooks"),
        )
        return [getattr(fake, name) for fake, name in kept if isinstance(getattr(fake, name, None), dict)]

    def logged(self) -> list[Logged]:
        """Let the relay move what waits; return the log, newest first."""
        while self.outboxes.move(100_000):
            pass
        return list(self.changes.newest_first(AuditFilters(), None, 100_000))

    @cached_property
    def services(self) -> Services:
        """The services on the fakes."""
        return assemble(
            self.stores, self.model, self.registry, self.settings, issuer=self.issuer, receiver=self.receiver
        )

    @cached_property
    def app(self) -> Flask:
        """The application."""
        with patch.object(Rule, "_compile_builder", _compiled_once):
            app = create_app(self.settings, self.services)
        app.test_client_class = AdministratorClient
        return app

    @cached_property
    def client(self) -> FlaskClient:
        """A client of the application that may do everything."""
        return self.app.test_client()

    @cached_property
    def unjudged(self) -> FlaskClient:
        """A client that may do everything, for errors that a test makes up: the OpenAPI document does not know them."""
        client = self.app.test_client()
        client.judges = False
        return client

    @cached_property
    def anonymous(self) -> FlaskClient:
        """A client without an API key."""
        return JudgedClient(self.app, self.app.response_class)

    def send(self, method: str, path: str, text: bytes | str, content_type: str = "application/json") -> TestResponse:
        """Send a body exactly as it is written."""
        return self.client.open(path, method=method, data=text, content_type=content_type)
