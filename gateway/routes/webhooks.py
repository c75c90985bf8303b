"""Webhooks: events sent to other systems, and what came of it."""

from __future__ import annotations

from gateway.controllers.http import JSON, MERGE_PATCH
from gateway.controllers.webhooks import WebhookController, WebhookDeliveryController
from gateway.routes import ONCE, WITH_SECRET, Resource, Route, Work
from gateway.routes.operation import STORE, Answer, Body, Link, Operation, PageOf, page
from gateway.schemas.paging import PAGE
from gateway.schemas.webhooks import DELIVERIES
from gateway.services.principal import Scope
from gateway.services.webhooks.webhooks import DeliveryView, NewWebhook, WebhookView

_ID = {"webhook_id": "$response.body#/id"}
_NEXT = {
    "read": Link("getWebhook", _ID),
    "test": Link("testWebhook", _ID),
    "deliveries": Link("listDeliveries", _ID),
    "delete": Link("deleteWebhook", _ID),
}
_THIS = {"webhook_id": "$request.path.webhook_id"}
_RESULT = {"result": Link("getDelivery", {**_THIS, "delivery_id": "$response.body#/id"})}

_CREATE_WEBHOOK = Operation(
    "createWebhook",
    "Create a webhook",
    "Events from now on are sent to its address, in their order, as `POST` with the body `{type, timestamp, data}`, "
    "where `data` is the event as in `GET /events`. They are signed as the [Standard Webhooks "
    "specification](https://www.standardwebhooks.com) says, so that its libraries verify them: `webhook-id`, "
    "`webhook-timestamp` and `webhook-signature`. This is the only response that ever shows the `secret`. Each event "
    "is sent at least once, and again with the same `webhook-id`; one that is not answered with 2xx in time is sent "
    "again at growing intervals, and those after it wait. Redirects are not followed. 410 ends it.",
    {201: Answer("The webhook", NewWebhook, headers=("Location",), links=_NEXT)},
    Body("NewWebhookOrder"),
    ("too_many_webhooks", *STORE),
)
_LIST_WEBHOOKS = Operation(
    "listWebhooks", "List the webhooks", "", page("listWebhooks", PageOf(WebhookView)), problems=STORE
)
_GET_WEBHOOK = Operation(
    "getWebhook",
    "Get a webhook",
    "",
    {200: Answer("Everything but its secret", WebhookView, links=_NEXT)},
    problems=("webhook_not_found", *STORE),
)
_PATCH_WEBHOOK = Operation(
    "patchWebhook",
    "Change, pause or activate a webhook",
    "A paused or disabled webhook that is activated goes on where it was, as long as the events are kept.",
    {200: Answer("The webhook", WebhookView, links=_NEXT)},
    Body("WebhookPatch", media_types=(MERGE_PATCH, JSON)),
    ("webhook_not_found", *STORE),
)
_DELETE_WEBHOOK = Operation(
    "deleteWebhook",
    "Delete a webhook",
    "Nothing is sent to it any more, but for what is on its way just now.",
    {204: Answer("Deleted")},
    problems=("webhook_not_found", *STORE),
)
_ROTATE_WEBHOOK = Operation(
    "rotateWebhookSecret",
    "Rotate the secret of a webhook",
    "For a while deliveries are signed with both secrets, so that the receiver can switch without interruption.",
    {200: Answer("The webhook with its new secret", NewWebhook, links=_NEXT)},
    Body("WebhookRotation", required=False),
    ("webhook_not_found", *STORE),
)
_REPLAY_EVENTS = Operation(
    "replayEvents",
    "Deliver everything again that follows an event",
    "Moves the webhook's `cursor`, back or ahead: `earliest` delivers all that is kept, `now` passes over what waits.",
    {200: Answer("The webhook", WebhookView, links=_NEXT)},
    Body("WebhookReplay"),
    ("webhook_not_found", "cursor_expired", *STORE),
)
_TEST_WEBHOOK = Operation(
    "testWebhook",
    "Deliver a test",
    "Whatever the webhook's status is, once. Its `type` is `webhook.test`. The worker sends it within a second or so; "
    "the delivery says what came of it.",
    {202: Answer("The delivery, which waits to be sent", DeliveryView, headers=("Location",), links=_RESULT)},
    problems=("webhook_not_found", *STORE),
)
_LIST_DELIVERIES = Operation(
    "listDeliveries",
    "List the deliveries of a webhook",
    "Newest first, each with what came of its last attempt; kept for `WEBHOOK_LOG_DAYS`.",
    page("listDeliveries", PageOf(DeliveryView)),
    problems=("webhook_not_found", *STORE),
)
_GET_DELIVERY = Operation(
    "getDelivery",
    "Get a delivery",
    "",
    {200: Answer("What came of it", DeliveryView)},
    problems=("webhook_not_found", "delivery_not_found", *STORE),
)
_REPLAY_DELIVERY = Operation(
    "replayDelivery",
    "Deliver an event once more",
    "At once, whatever waits and whatever the webhook's status is; it is tried once. The `webhook-id` is the same, "
    "and the event is as it is now: one about a customer that has been erased names nobody.",
    {202: Answer("The new delivery, which waits to be sent", DeliveryView, headers=("Location",), links=_RESULT)},
    problems=("webhook_not_found", "delivery_not_found", "cursor_expired", *STORE),
)


def webhooks(controller: WebhookController) -> Resource:
    """Return the routes that administrate webhooks."""
    one = "/webhooks/<name:webhook_id>"
    return Resource(
        "Webhooks",
        "Who is told of events. A secret is shown once, when it is made or rotated.",
        (
            Route("POST", "/webhooks", controller.create, Scope.WEBHOOKS, _CREATE_WEBHOOK, repeats=WITH_SECRET),
            Route("GET", "/webhooks", controller.list, Scope.WEBHOOKS, _LIST_WEBHOOKS, PAGE, Work.MANY),
            Route("GET", one, controller.get, Scope.WEBHOOKS, _GET_WEBHOOK),
            Route("PATCH", one, controller.patch, Scope.WEBHOOKS, _PATCH_WEBHOOK),
            Route("DELETE", one, controller.delete, Scope.WEBHOOKS, _DELETE_WEBHOOK),
            Route("POST", f"{one}/rotate", controller.rotate, Scope.WEBHOOKS, _ROTATE_WEBHOOK, repeats=WITH_SECRET),
            Route("POST", f"{one}/replay", controller.replay, Scope.WEBHOOKS, _REPLAY_EVENTS, work=Work.MANY),
        ),
    )


def deliveries(controller: WebhookDeliveryController) -> Resource:
    """Return the routes that say what was delivered."""
    log = "/webhooks/<name:webhook_id>/deliveries"
    return Resource(
        "Deliveries",
        "What came of sending events to a webhook.",
        (
            Route(
                "POST",
                "/webhooks/<name:webhook_id>/test",
                controller.test,
                Scope.WEBHOOKS,
                _TEST_WEBHOOK,
                repeats=ONCE,
            ),
            Route("GET", log, controller.list, Scope.WEBHOOKS, _LIST_DELIVERIES, DELIVERIES, Work.MANY),
            Route("GET", f"{log}/<name:delivery_id>", controller.get, Scope.WEBHOOKS, _GET_DELIVERY),
            Route(
                "POST",
                f"{log}/<name:delivery_id>/replay",
                controller.replay,
                Scope.WEBHOOKS,
                _REPLAY_DELIVERY,
                work=Work.MANY,
                repeats=ONCE,
            ),
        ),
    )
