"""The fakes of the webhooks' ports obey their contracts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from contracts.webhooks import SHORT, DeliveryStoreContract, WebhookStoreContract
from fakes.webhooks import InMemoryDeliveries, InMemoryWebhooks


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self) -> None:
        self.now += SHORT


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pass_by(clock: Clock) -> Callable[[], None]:
    return clock.pass_by


class TestInMemoryWebhooks(WebhookStoreContract):
    @pytest.fixture
    def webhooks(self, clock: Clock) -> InMemoryWebhooks:
        return InMemoryWebhooks(clock)


class TestInMemoryDeliveries(DeliveryStoreContract):
    @pytest.fixture
    def deliveries(self, clock: Clock) -> InMemoryDeliveries:
        return InMemoryDeliveries(clock)
