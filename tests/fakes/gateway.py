"""The whole gateway over HTTP, on fakes of its ports."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from fakes.model import FakeModel
from fakes.registry import FakeRegistry
from fakes.store import InMemoryCustomerStore
from gateway.app import create_app
from gateway.settings import Settings
from gateway.wiring import Services, Stores, assemble

CUSTOMERS = "/api/v1/customers"
PREDICTIONS = "/api/v1/predictions"
SEGMENTS = "/api/v1/segments"
MODELS = "/api/v1/models"
TRAININGS = "/api/v1/trainings"


@dataclass
class FakeGateway:
    """The gateway's application with the fakes it stands on within reach."""

    settings: Settings = field(default_factory=Settings)
    store: Any = field(default_factory=InMemoryCustomerStore)
    model: FakeModel = field(default_factory=FakeModel)
    registry: FakeRegistry = field(default_factory=FakeRegistry)

    @property
    def stores(self) -> Stores:
        """What the services keep things in."""
        return Stores(customers=self.store)

    @cached_property
    def services(self) -> Services:
        """The services on the fakes."""
        return assemble(self.stores, self.model, self.registry, self.settings)

    @cached_property
    def app(self) -> Flask:
        """The application."""
        return create_app(self.settings, self.services)

    @cached_property
    def client(self) -> FlaskClient:
        """A client of the application."""
        return self.app.test_client()

    def send(self, method: str, path: str, text: bytes | str, content_type: str = "application/json") -> TestResponse:
        """Send a body exactly as it is written."""
        return self.client.open(path, method=method, data=text, content_type=content_type)
