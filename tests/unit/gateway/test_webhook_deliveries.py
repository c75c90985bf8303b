"""The worker delivers to webhooks: in order, again after a failure, and one receiver does not hold up another."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes.changes import recorder
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.webhooks import ACCEPTED, GONE, REFUSED, UNREACHABLE
from support.customers import body

from gateway.services.clock import now
from gateway.services.errors import StoreUnavailable
from gateway.services.events.log import AuditFilters
from gateway.services.webhooks import deliveries as module
from gateway.services.webhooks.deliveries import LONGEST_RETRY, WebhookDeliveries, retry_seconds
from gateway.services.webhooks.signing import Signing
from gateway.services.webhooks.webhook import Receipt, Webhook

GIVE_UP = timedelta(hours=1)
ONE, OTHER = "https://one.example/x", "https://other.example/x"


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


def worker(gateway: FakeGateway, name: str = "a", secret: str = "", **options: Any) -> WebhookDeliveries:
    services = gateway.services
    return WebhookDeliveries(
        gateway.webhooks,
        gateway.webhook_deliveries,
        services.events.feed,
        gateway.receiver,
        Signing(secret or gateway.settings.secret_key),
        lambda cust_id: f"digest of {cust_id}",
        gateway.stores.transactions,
        recorder(gateway.outboxes, gateway.orders),
        name,
        5.0,
        GIVE_UP,
        **{"retry": lambda attempts: 0.0, **options},
    )


def webhook(gateway: FakeGateway, url: str = ONE, **members: Any) -> str:
    answer = gateway.client.post("/api/v1/webhooks", json={"url": url, "types": ["customer.created"], **members})
    return str(answer.json["id"])


def create(gateway: FakeGateway, *ids: str) -> None:
    for cust_id in ids:
        gateway.client.post(CUSTOMERS, json=body(cust_id))
    gateway.logged()


def go(duty: WebhookDeliveries) -> None:
    duty.run_once()
    duty.wait()


def told(gateway: FakeGateway, url: str | None = None) -> list[str]:
    return [each["data"]["subject"]["id"] for each in gateway.receiver.bodies(url)]


def stored(gateway: FakeGateway, webhook_id: str) -> Webhook:
    found = gateway.webhooks.get(webhook_id)
    assert found is not None
    return found


class TestOrder:
    def test_events_are_told_as_they_are_in_the_feed(self, gateway: FakeGateway) -> None:
        webhook_id = webhook(gateway, types=None)
        create(gateway, "A", "B")
        go(worker(gateway))
        feed = gateway.client.get("/api/v1/events").json
        (_, message, _), *_ = gateway.receiver.sent
        assert [each["data"] for each in gateway.receiver.bodies()] == feed["items"]
        assert json.loads(message.body)["timestamp"] == feed["items"][0]["at"]
        assert message.id == f"evt_{feed['items'][0]['id']}"
        assert stored(gateway, webhook_id).delivered_at is not None
        go(worker(gateway))
        assert len(gateway.receiver.sent) == len(feed["items"])

    def test_what_a_webhook_does_not_want_is_passed_over(self, gateway: FakeGateway) -> None:
        webhook_id = webhook(gateway, types=["model.activated"])
        create(gateway, "A", "B")
        go(worker(gateway))
        assert gateway.receiver.sent == []
        assert stored(gateway, webhook_id).cursor == gateway.services.events.feed.now()

    @pytest.mark.parametrize("failure", [REFUSED, UNREACHABLE])
    def test_an_event_that_is_not_accepted_comes_before_those_after_it(
        self, gateway: FakeGateway, failure: Receipt
    ) -> None:
        webhook_id = webhook(gateway)
        create(gateway, "A", "B", "C")
        gateway.receiver.answers[ONE] = [ACCEPTED, failure, failure]
        duty = worker(gateway)
        go(duty)
        failing = stored(gateway, webhook_id)
        assert (failing.attempts, failing.failing_since is not None) == (1, True)
        go(duty)
        go(duty)
        assert told(gateway) == ["A", "B", "B", "B", "C"]
        done = stored(gateway, webhook_id)
        assert (done.attempts, done.failing_since, done.retry_at, done.delivery) == (0, None, None, None)
        log = gateway.webhook_deliveries.page(webhook_id, None, None, 9)
        assert sorted((each.attempts, each.status) for each in log) == [
            (1, "delivered"),
            (1, "delivered"),
            (3, "delivered"),
        ]

    def test_it_is_sent_again_when_it_is_time(self, gateway: FakeGateway) -> None:
        webhook_id = webhook(gateway)
        create(gateway, "A")
        gateway.receiver.answers[ONE] = [replace(REFUSED, retry_after=900.0), replace(REFUSED, retry_after=1e9)]
        duty = worker(gateway, retry=lambda attempts: 60.0 * attempts)
        go(duty)
        first = stored(gateway, webhook_id).retry_at
        assert first is not None
        assert now() + timedelta(seconds=800) < first <= now() + timedelta(seconds=900)
        go(duty)
        assert len(gateway.receiver.sent) == 1
        gateway.webhooks.change(webhook_id, {"retry_at": now()})
        go(duty)
        second = stored(gateway, webhook_id).retry_at
        assert second is not None
        assert second <= now() + timedelta(seconds=LONGEST_RETRY), "whatever a receiver asks for"
        (delivery,) = gateway.webhook_deliveries.page(webhook_id, None, None, 9)
        assert (delivery.status, delivery.attempts, delivery.retry_at) == ("retrying", 2, second)
        gateway.client.patch(f"/api/v1/webhooks/{webhook_id}", json={"status": "active"})
        go(duty)
        assert len(gateway.receiver.sent) == 3, "whoever activates it need not wait"

    def test_intervals_grow_to_an_hour(self) -> None:
        seconds = [retry_seconds(attempts) for attempts in range(1, 30)]
        assert 4 <= seconds[0] <= 6
        assert all(earlier < later for earlier, later in zip(seconds[:9], seconds[2:9:2], strict=False))
        assert 0.8 * LONGEST_RETRY <= seconds[-1] <= 1.2 * LONGEST_RETRY
        assert retry_seconds(10**6) <= 1.2 * LONGEST_RETRY

    def test_other_types_hold_from_the_next_event_on(self, gateway: FakeGateway) -> None:
        webhook_id = webhook(gateway)
        create(gateway, "A", "B", "C")
        patch = {"types": ["customer.deleted"]}
        gateway.receiver.before = lambda _: gateway.client.patch(f"/api/v1/webhooks/{webhook_id}", json=patch)
        go(worker(gateway))
        assert told(gateway) == ["A"]
        assert stored(gateway, webhook_id).cursor == gateway.services.events.feed.now()

    @pytest.mark.parametrize(
        "change", [{"status": "paused"}, None, {"after": "now"}], ids=["paused", "deleted", "moved ahead"]
    )
    def test_whatever_is_done_to_it_meanwhile_holds_after_the_event_that_is_on_its_way(
        self, gateway: FakeGateway, change: dict[str, Any] | None
    ) -> None:
        webhook_id = webhook(gateway)
        create(gateway, "A", "B", "C")
        address = f"/api/v1/webhooks/{webhook_id}"

        def before(_: str) -> None:
            if change is None:
                gateway.client.delete(address)
            elif "after" in change:
                gateway.client.post(f"{address}/replay", json=change)
            else:
                gateway.client.patch(address, json=change)

        gateway.receiver.before = before
        go(worker(gateway))
        assert told(gateway) == ["A"]


class TestEnds:
    def test_a_receiver_that_is_gone_is_heard_at_once(self, gateway: FakeGateway) -> None:
        webhook_id = webhook(gateway)
        create(gateway, "A")
        gateway.receiver.answers[ONE] = [GONE]
        duty = worker(gateway)
        go(duty)
        disabled = stored(gateway, webhook_id)
        assert (disabled.status, disabled.reason) == (
            "disabled",
            "The receiver wants no more events: it answered 410 Gone.",
        )
        (delivery,) = gateway.webhook_deliveries.page(webhook_id, None, None, 9)
        assert delivery.status == "failed"
        gateway.logged()
        (entry,) = gateway.changes.newest_first(AuditFilters(action="webhook.disabled"), None, 9)
        assert (entry["subject"]["id"], entry["actor"]["id"]) == (webhook_id, "worker")
        go(duty)
        assert len(gateway.receiver.sent) == 1
        gateway.client.patch(f"/api/v1/webhooks/{webhook_id}", json={"status": "active"})
        go(duty)
        assert told(gateway) == ["A", "A"], "it goes on where it was"
        assert stored(gateway, webhook_id).reason is None

    def test_after_long_enough_it_is_given_up(self, gateway: FakeGateway) -> None:
        webhook_id = webhook(gateway)
        create(gateway, "A")
        gateway.receiver.answers[ONE] = [REFUSED, REFUSED]
        duty = worker(gateway)
        go(duty)
        assert stored(gateway, webhook_id).status == "active"
        gateway.webhooks.change(webhook_id, {"failing_since": now() - GIVE_UP})
        go(duty)
        disabled = stored(gateway, webhook_id)
        assert disabled.status == "disabled"
        assert disabled.reason == (
            "No event has been accepted for 1 hour; what came of the last attempt: 503 Service Unavailable."
        )

    def test_what_is_not_kept_any_more_is_not_skipped_in_silence(self, gateway: FakeGateway) -> None:
        webhook_id = webhook(gateway)
        create(gateway, "A", "B")
        gateway.changes.forget(now() + timedelta(seconds=1))
        create(gateway, "C")
        duty = worker(gateway)
        go(duty)
        disabled = stored(gateway, webhook_id)
        assert (disabled.status, gateway.receiver.sent) == ("disabled", [])
        assert "not kept any more" in str(disabled.reason)
        gateway.client.post(f"/api/v1/webhooks/{webhook_id}/replay", json={"after": "earliest"})
        gateway.client.patch(f"/api/v1/webhooks/{webhook_id}", json={"status": "active"})
        go(duty)
        assert told(gateway) == ["C"]

    def test_with_another_secret_of_the_installation_nothing_is_sent(self, gateway: FakeGateway) -> None:
        """As where a backup is restored to try something: its receivers must not hear of that."""
        webhook_id = webhook(gateway)
        create(gateway, "A")
        test = gateway.client.post(f"/api/v1/webhooks/{webhook_id}/test").json["id"]
        duty = worker(gateway, secret="another" * 8)
        go(duty)
        assert gateway.receiver.sent == []
        assert "GATEWAY_SECRET_KEY" in str(stored(gateway, webhook_id).reason)
        assert gateway.webhook_deliveries.get(webhook_id, test).status == "failed"
        gateway.webhooks.change(webhook_id, {"mark": "old"})
        rotated = gateway.client.post(f"/api/v1/webhooks/{webhook_id}/rotate").json
        assert rotated["old_secret_until"] is None, "the old one cannot be derived"
        gateway.client.patch(f"/api/v1/webhooks/{webhook_id}", json={"status": "active"})
        go(worker(gateway))
        ((_, _, signing),) = gateway.receiver.sent
        assert signing == [rotated["secret"]]


class TestTogether:
    def test_a_dead_receiver_holds_up_nobody_else(self, gateway: FakeGateway) -> None:
        webhook(gateway, ONE)
        webhook(gateway, OTHER)
        create(gateway, "A", "B")
        hanging, told_all, release = threading.Event(), threading.Event(), threading.Event()

        def before(url: str) -> None:
            if url == ONE:
                hanging.set()
                assert release.wait(30)
            elif len(told(gateway, OTHER)) == 2:
                told_all.set()

        gateway.receiver.before = before
        duty = worker(gateway)
        duty.run_once()
        assert hanging.wait(30)
        create(gateway, "C")
        while not told_all.wait(0.01):
            duty.run_once()
        release.set()
        duty.wait()
        go(duty)
        assert told(gateway, ONE) == told(gateway, OTHER) == ["A", "B", "C"]

    def test_two_workers_tell_everything_once(self, gateway: FakeGateway) -> None:
        webhook(gateway)
        create(gateway, *(f"C{n}" for n in range(20)))
        duties = [worker(gateway, name) for name in "ab"]
        for duty in duties:
            duty.run_once()
        for duty in duties:
            duty.wait()
        assert told(gateway) == [f"C{n}" for n in range(20)]

    def test_one_that_was_taken_over_moves_nothing(self, gateway: FakeGateway) -> None:
        webhook_id = webhook(gateway)
        create(gateway, "A", "B")
        gateway.receiver.before = lambda _: gateway.webhooks.leases.update({webhook_id: ("b", 1e18)})
        go(worker(gateway))
        assert told(gateway) == ["A"]
        gateway.receiver.before = lambda _: None
        go(worker(gateway, "b"))
        assert told(gateway) == ["A", "A", "B"], "the first one could not say that it was sent"

    def test_a_database_that_is_away_when_it_is_to_be_noted(self, gateway: FakeGateway) -> None:
        webhook(gateway)
        create(gateway, "A")
        away = StoreUnavailable("away")
        gateway.receiver.before = lambda _: setattr(gateway.webhooks, "failure", away)
        duty = worker(gateway)
        go(duty)
        gateway.webhooks.failure = None
        with pytest.raises(StoreUnavailable):
            duty.run_once()
        gateway.receiver.before = lambda _: None
        go(duty)
        assert told(gateway) == ["A", "A"]
        (_, first, _), (_, second, _) = gateway.receiver.sent
        assert first == second, "by its id the receiver knows it"

    def test_an_own_fault_ends_no_other(self, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
        webhook(gateway)
        create(gateway, "A")
        duty = worker(gateway)
        monkeypatch.setattr(module, "_message", lambda event: 1 / 0)
        go(duty)
        with pytest.raises(ZeroDivisionError):
            duty.run_once()


class TestErasures:
    def refuse(self, gateway: FakeGateway, before: Callable[[str], object] = lambda url: None) -> str:
        webhook_id = webhook(gateway)
        create(gateway, "A1")
        gateway.receiver.answers[ONE] = [replace(REFUSED, text="no A1 here, nor <b>A1</b>")]
        gateway.receiver.before = before
        go(worker(gateway))
        return webhook_id

    def test_an_answer_never_names_the_customer(self, gateway: FakeGateway) -> None:
        (delivery,) = gateway.webhook_deliveries.page(self.refuse(gateway), None, None, 9)
        assert (delivery.answer, delivery.about) == ("no (CUST_ID) here, nor <b>(CUST_ID)</b>", "digest of A1")

    def test_an_answer_that_comes_after_the_erasure_is_not_kept(self, gateway: FakeGateway) -> None:
        erase = f"{CUSTOMERS}/A1?erase=true"
        webhook_id = self.refuse(gateway, lambda _: gateway.client.delete(erase))
        (delivery,) = gateway.webhook_deliveries.page(webhook_id, None, None, 9)
        assert (delivery.answer, delivery.about) == ("", None)
        gateway.logged()
        go(worker(gateway))
        assert told(gateway) == ["A1", None], "what is sent again is the event as it is now"

    def test_a_success_keeps_nothing_about_anybody(self, gateway: FakeGateway) -> None:
        webhook_id = webhook(gateway)
        create(gateway, "A1")
        go(worker(gateway))
        (delivery,) = gateway.webhook_deliveries.page(webhook_id, None, None, 9)
        assert (delivery.answer, delivery.about) == ("", None)
        assert "A1" not in repr(delivery)


def test_a_secret_is_good_for_one_webhook_and_installation() -> None:
    one = Signing("secret")
    secrets = {one.secret("a", "n"), one.secret("b", "n"), one.secret("a", "m"), Signing("other").secret("a", "n")}
    assert len(secrets) == 4
    assert one.mark != Signing("other").mark
    assert one.secret("a", "n") == Signing("secret").secret("a", "n")
