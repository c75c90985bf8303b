"""What every `WebhookStore` and `DeliveryStore` does: run over the fakes and over a real mongod.

Subclass them in a test module and give them a fixture `webhooks` or `deliveries` with an empty store, and `pass_by`,
which lets a time of 50 milliseconds pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from gateway.services.webhooks.webhook import (
    AFRESH,
    Delivery,
    DeliveryStore,
    Webhook,
    WebhookStore,
)

AT = datetime(2030, 6, 1, 12, 0, 0, 123000)
WEBHOOK = Webhook(
    id="AbCdEf000001",
    url="https://crm.example.com/hooks?token=$x",
    description="$url of the CRM",
    types=("customer.segment_changed", "customer.deleted"),
    status="active",
    reason=None,
    created_at=AT,
    created_by="api_key:x",
    updated_at=AT,
    cursor=2**40 + 1,
    nonce="n" * 32,
    mark="m" * 16,
)
FULL = replace(
    WEBHOOK,
    types=None,
    status="disabled",
    reason="$$NOW",
    old_nonce="o" * 32,
    old_until=AT,
    attempts=3,
    failing_since=AT,
    retry_at=AT,
    delivery="d1",
    delivered_at=AT,
)
DELIVERY = Delivery("d1", WEBHOOK.id, "event", 2**40 + 2, "customer.deleted", "delivered", AT)
FAILED = replace(
    DELIVERY,
    id="d2",
    status="retrying",
    about="digest",
    attempts=2,
    at=AT,
    detail="500 No",
    answer_status=500,
    answer="<b>no</b>",
    seconds=0.25,
    retry_at=AT,
)
LONG, SHORT = 60.0, 0.05


class WebhookStoreContract:
    """Reads, changes, and who may deliver."""

    def test_what_was_inserted_is_read(self, webhooks: WebhookStore) -> None:
        assert webhooks.get(WEBHOOK.id) is None
        for webhook in (WEBHOOK, replace(FULL, id="AbCdEf000000")):
            webhooks.insert(webhook)
            assert webhooks.get(webhook.id) == webhook
        assert [each.id for each in webhooks.page(None, 9)] == ["AbCdEf000000", WEBHOOK.id]
        assert [each.id for each in webhooks.page("AbCdEf000000", 1)] == [WEBHOOK.id]
        assert webhooks.page(WEBHOOK.id, 1) == []

    def test_some_members_change_and_the_others_stay(self, webhooks: WebhookStore) -> None:
        webhooks.insert(FULL)
        changed = replace(FULL, status="paused", reason=None, types=("customer.created",), cursor=7)
        members = {"status": "paused", "reason": None, "types": ("customer.created",), "cursor": 7}
        assert webhooks.change(FULL.id, members) == changed == webhooks.get(FULL.id)  # type: ignore[arg-type]
        assert webhooks.change("nobody", {"status": "paused"}) is None
        assert webhooks.get("nobody") is None

    def test_what_is_deleted_is_gone(self, webhooks: WebhookStore) -> None:
        webhooks.insert(WEBHOOK)
        assert webhooks.delete(WEBHOOK.id)
        assert not webhooks.delete(WEBHOOK.id)
        assert webhooks.get(WEBHOOK.id) is webhooks.claim(WEBHOOK.id, "a", LONG) is None
        assert webhooks.advance(WEBHOOK, "a", LONG, {"cursor": 1}) is None

    def test_one_worker_at_a_time_delivers(self, webhooks: WebhookStore, pass_by: Callable[[], None]) -> None:
        webhooks.insert(WEBHOOK)
        assert webhooks.claim(WEBHOOK.id, "a", LONG) == WEBHOOK
        assert webhooks.claim(WEBHOOK.id, "b", LONG) is None
        assert webhooks.claim(WEBHOOK.id, "a", SHORT) == WEBHOOK, "again, and from now on for a shorter time"
        pass_by()
        assert webhooks.claim(WEBHOOK.id, "b", LONG) == WEBHOOK
        assert webhooks.advance(WEBHOOK, "a", LONG, {"cursor": 9}) is None, "it has been taken over"
        moved = replace(FULL, status="active", reason="$$NOW", types=WEBHOOK.types, old_nonce=None, old_until=None)
        members = {"cursor": FULL.cursor + 2, "reason": "$$NOW", "attempts": 3, "failing_since": AT, "retry_at": AT}
        done = webhooks.advance(WEBHOOK, "b", LONG, {**members, "delivery": "d1", "delivered_at": AT})  # type: ignore[typeddict-item]
        assert done == replace(moved, cursor=FULL.cursor + 2) == webhooks.get(WEBHOOK.id)

    def test_who_has_a_cursor_of_before_moves_none(self, webhooks: WebhookStore) -> None:
        webhooks.insert(WEBHOOK)
        webhooks.claim(WEBHOOK.id, "a", LONG)
        webhooks.change(WEBHOOK.id, {**AFRESH, "cursor": 5})
        assert webhooks.advance(WEBHOOK, "a", LONG, {"cursor": WEBHOOK.cursor + 1}) is None
        assert webhooks.advance(replace(WEBHOOK, cursor=5), "a", LONG, {"cursor": 6}) == replace(WEBHOOK, cursor=6)


class DeliveryStoreContract:
    """The log, and what waits."""

    def test_what_was_put_is_read(self, deliveries: DeliveryStore) -> None:
        deliveries.put(DELIVERY)
        deliveries.put(DELIVERY)
        deliveries.put(FAILED)
        assert deliveries.get(WEBHOOK.id, "d1") == DELIVERY
        assert deliveries.get(WEBHOOK.id, "d2") == FAILED
        assert deliveries.get("another", "d1") is deliveries.get(WEBHOOK.id, "d3") is None
        deliveries.put(replace(FAILED, status="delivered"))
        assert deliveries.get(WEBHOOK.id, "d2") == replace(FAILED, status="delivered")

    def test_pages_go_back_in_time(self, deliveries: DeliveryStore) -> None:
        for number in (3, 1, 4, 2):
            status = "failed" if number % 2 else "delivered"
            deliveries.put(replace(DELIVERY, id=f"d{number}", status=status))  # type: ignore[arg-type]
        deliveries.put(replace(DELIVERY, id="d5", webhook_id="another"))
        ids = [each.id for each in deliveries.page(WEBHOOK.id, None, None, 3)]
        assert ids == ["d4", "d3", "d2"]
        assert [each.id for each in deliveries.page(WEBHOOK.id, None, "d2", 3)] == ["d1"]
        assert [each.id for each in deliveries.page(WEBHOOK.id, "failed", None, 3)] == ["d3", "d1"]

    def test_each_that_waits_is_taken_once(self, deliveries: DeliveryStore, pass_by: Callable[[], None]) -> None:
        test = Delivery("d2", WEBHOOK.id, "test", None, "webhook.test", "waiting", AT)
        for each in (FAILED, replace(test, id="d4"), test, replace(test, webhook_id="another", id="d3")):
            deliveries.put(each)
        assert sorted(deliveries.waiting()) == sorted(["another", WEBHOOK.id])
        assert deliveries.take(WEBHOOK.id, SHORT) == test
        taken = deliveries.take(WEBHOOK.id, LONG)
        assert taken is not None
        assert taken.id == "d4"
        assert deliveries.take(WEBHOOK.id, LONG) is None
        pass_by()
        assert deliveries.take(WEBHOOK.id, LONG) == test, "whoever took it did not say what became of it"
        deliveries.put(replace(test, status="failed"))
        assert deliveries.waiting() == ["another"]

    def test_given_up_is_what_was_to_be_tried_again(self, deliveries: DeliveryStore) -> None:
        waiting = replace(DELIVERY, id="d3", status="waiting")
        for each in (DELIVERY, FAILED, waiting, replace(FAILED, id="d4", webhook_id="another")):
            deliveries.put(each)
        deliveries.give_up(WEBHOOK.id)
        assert deliveries.get(WEBHOOK.id, "d2") == replace(FAILED, status="failed", retry_at=None)
        assert deliveries.get(WEBHOOK.id, "d1") == DELIVERY
        assert deliveries.get(WEBHOOK.id, "d3") == waiting
        assert deliveries.get("another", "d4") == replace(FAILED, id="d4", webhook_id="another")

    def test_erasing_removes_texts_and_hashes(self, deliveries: DeliveryStore) -> None:
        for each in (DELIVERY, FAILED, replace(FAILED, id="d3", about="of another")):
            deliveries.put(each)
        assert deliveries.erase("digest") == 1
        assert deliveries.get(WEBHOOK.id, "d2") == replace(FAILED, answer="", about=None)
        assert deliveries.get(WEBHOOK.id, "d3") == replace(FAILED, id="d3", about="of another")
        assert deliveries.erase("digest") == 0
