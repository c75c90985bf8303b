"""Webhooks over HTTP: who is told of what, secrets, the log, replays and tests."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from contracts.webhooks import AT, FAILED
from fakes.api_keys import key_of
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.webhooks import REFUSED
from hypothesis import given
from hypothesis import strategies as st
from support.customers import body
from support.problems import assert_problem

from gateway.services.clock import now
from gateway.services.events.feed import EVENT_TYPES
from gateway.services.principal import Scope
from gateway.services.webhooks.destinations import Destinations
from gateway.services.webhooks.webhooks import MOST_WEBHOOKS
from gateway.settings import Settings
from shared.networks import networks

WEBHOOKS = "/api/v1/webhooks"
URL = "https://crm.example.com/hooks"


def made(gateway: FakeGateway, **members: Any) -> dict[str, Any]:
    answer = gateway.client.post(WEBHOOKS, json={"url": URL, **members})
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def deliver(gateway: FakeGateway) -> None:
    gateway.logged()
    gateway.services.events.deliveries.run_once()
    gateway.services.events.deliveries.wait()


class TestCreate:
    def test_tells_the_secret_once(self, gateway: FakeGateway) -> None:
        gateway.client.post(CUSTOMERS, json=body("A"))
        gateway.logged()
        answer = gateway.client.post(WEBHOOKS, json={"url": URL, "description": "CRM", "types": ["customer.deleted"]})
        webhook = answer.json
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Location"] == f"{WEBHOOKS}/{webhook['id']}"
        secret = webhook.pop("secret")
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
        assert (webhook["status"], webhook["types"], webhook["cursor"]) == ("active", ["customer.deleted"], "3")
        assert gateway.client.get(f"{WEBHOOKS}/{webhook['id']}").json == webhook
        assert gateway.client.get(WEBHOOKS).json["items"] == [webhook]
        assert secret not in repr(gateway.webhooks.webhooks)
        assert base64.b64decode(secret[6:]).hex() not in repr(gateway.webhooks.webhooks)

    @pytest.mark.parametrize(
        ("members", "pointer"),
        [
            ({"url": "ftp://crm.example.com"}, "/url"),
            ({"url": None}, "/url"),
            ({"url": URL, "types": []}, "/types"),
            ({"url": URL, "types": ["customer.rescored"]}, "/types/0"),
            ({"url": URL, "types": "customer.deleted"}, "/types"),
            ({"url": URL, "description": "two\nlines"}, "/description"),
            ({"url": URL, "secret": "whsec_mine"}, "/secret"),
            ({}, "/url"),
        ],
    )
    def test_what_is_wrong_is_named(self, gateway: FakeGateway, members: dict[str, Any], pointer: str) -> None:
        assert_problem(gateway.client.post(WEBHOOKS, json=members), 422, "validation_failed", [pointer])
        assert gateway.webhooks.webhooks == {}

    def test_there_are_not_more_than_the_worker_has_threads_for(self, gateway: FakeGateway) -> None:
        for _ in range(MOST_WEBHOOKS):
            made(gateway)
        assert_problem(gateway.client.post(WEBHOOKS, json={"url": URL}), 409, "too_many_webhooks")

    def test_another_scope_opens_nothing(self, gateway: FakeGateway) -> None:
        key = "csk_000000000001_" + "a" * 43
        gateway.keys.insert(key_of(key, [Scope.EVENTS_READ, Scope.CUSTOMERS_WRITE]))
        headers = {"Authorization": f"Bearer {key}"}
        assert_problem(gateway.anonymous.get(WEBHOOKS, headers=headers), 403, "insufficient_scope")


class TestAddresses:
    """Where deliveries may go, as far as it shows in an address."""

    @pytest.mark.parametrize(
        "url",
        [
            "https://crm.example.com",
            "https://CRM.example.com:8443/a/b?c=d&e=%20",
            "https://93.184.216.34/",
            "https://[2606:4700::1111]:443/",
            "https://xn--mnchen-3ya.example/",
            "https://a_b.example./",
        ],
    )
    def test_of_the_public_internet(self, url: str) -> None:
        assert Destinations(()).fault(url) is None

    @pytest.mark.parametrize(
        "url",
        [
            *(
                "",
                "crm.example.com",
                "https://",
                "https:///x",
                "https://a b/",
                "https://a\n/",
                "http://crm.example.com",
            ),
            *("https://user:pass@crm.example.com", "https://crm.example.com/#x", "https://[::1", "https://a:0/"),
            *("https://a:99999/", "https://münchen.example/", "https://a\\@b/", "https://-a-.example/", "//a.example/"),
            *("https://127.0.0.1/", "https://10.1.2.3/", "https://192.168.0.1", "https://169.254.169.254/latest"),
            *("https://[::1]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fd00:ec2::254]/"),
            *("https://[::ffff:127.0.0.1]/", "https://[::ffff:a9fe:a9fe]/", "https://[64:ff9b::7f00:1]/"),
            *("https://[2002:7f00:1::]/", "https://0.0.0.0/", "https://100.64.0.1/", "https://224.0.0.1/"),
            *("https://255.255.255.255/", "https://[ff02::1]/", "https://198.18.0.1/", "https://[::]/"),
            *("https://192.0.0.8/", "https://192.88.99.1/", "https://[3fff::1]/", "https://[3fff:fff::1]/"),
            f"https://a.example/{'x' * 2_000}",
        ],
    )
    def test_others(self, url: str) -> None:
        assert Destinations(()).fault(url)

    def test_of_networks_that_the_operator_names(self) -> None:
        inside = Destinations(networks("10.1.0.0/16, ::1/128"))
        assert inside.fault("http://10.1.2.3:8080/x") is inside.fault("http://crm.bank.example/") is None
        assert inside.fault("http://[::1]/") is None
        assert inside.fault("http://10.2.0.1/")
        assert inside.fault("http://93.184.216.34/"), "without TLS to the Internet"
        assert inside.allows("http", "::ffff:10.1.2.3")
        assert not inside.allows("http", "no address")

    @given(st.text(max_size=40), st.sampled_from(["", "https://", "http://", "https://[", "https://a.example"]))
    def test_whatever_is_written_is_judged(self, text: str, begin: str) -> None:
        assert Destinations(()).fault(begin + text) is None or len(str(Destinations(()).fault(begin + text))) > 10

    @given(st.ip_addresses(v=4))
    def test_an_address_within_an_ipv6_one_is_judged_as_itself(self, address: Any) -> None:
        outside = Destinations(())
        assert outside.allows("https", f"::ffff:{address}") == outside.allows("https", str(address))


class TestChange:
    def test_pauses_and_goes_on(self, gateway: FakeGateway) -> None:
        address = f"{WEBHOOKS}/{made(gateway)['id']}"
        paused = gateway.client.patch(address, json={"status": "paused", "description": None})
        assert (paused.json["status"], paused.json["description"]) == ("paused", "")
        gateway.client.post(CUSTOMERS, json=body("A"))
        deliver(gateway)
        assert gateway.receiver.sent == []
        assert gateway.client.patch(address, json={"status": "active"}).json["status"] == "active"
        deliver(gateway)
        assert [each["type"] for each in gateway.receiver.bodies()] == ["customer.created", "customer.segment_changed"]

    def test_members_by_themselves(self, gateway: FakeGateway) -> None:
        webhook = made(gateway, types=["customer.deleted", "customer.deleted"], description="CRM")
        address = f"{WEBHOOKS}/{webhook['id']}"
        assert webhook["types"] == ["customer.deleted"]
        changed = gateway.client.patch(address, json={"types": None, "url": f"{URL}/2"}).json
        assert (changed["types"], changed["url"], changed["description"]) == (None, f"{URL}/2", "CRM")
        for members, pointer in (({"status": "disabled"}, "/status"), ({"url": "http://10.0.0.1"}, "/url")):
            assert_problem(gateway.client.patch(address, json=members), 422, "validation_failed", [pointer])

    def test_a_new_secret_beside_the_old_one(self, gateway: FakeGateway) -> None:
        webhook = made(gateway)
        address = f"{WEBHOOKS}/{webhook['id']}/rotate"
        rotated = gateway.client.post(address, json={"overlap_seconds": 600}).json
        until = gateway.webhooks.webhooks[webhook["id"]].old_until
        assert rotated["secret"] != webhook["secret"]
        assert now() < until <= now() + timedelta(seconds=600)
        gateway.client.post(f"{WEBHOOKS}/{webhook['id']}/test")
        deliver(gateway)
        gateway.client.post(address, json={"overlap_seconds": 0})
        gateway.client.post(f"{WEBHOOKS}/{webhook['id']}/test")
        deliver(gateway)
        (_, _, both), (_, _, alone) = gateway.receiver.sent
        assert list(both) == [rotated["secret"], webhook["secret"]]
        assert len(alone) == 1
        assert_problem(
            gateway.client.post(address, json={"overlap_seconds": -1}), 422, "validation_failed", ["/overlap_seconds"]
        )

    def test_each_change_is_in_the_audit_trail(self, gateway: FakeGateway) -> None:
        webhook = made(gateway)
        address = f"{WEBHOOKS}/{webhook['id']}"
        gateway.client.patch(address, json={"status": "paused"})
        gateway.client.post(f"{address}/rotate")
        gateway.client.post(f"{address}/replay", json={"after": "now"})
        gateway.client.delete(address)
        gateway.logged()
        found = gateway.client.get(f"/api/v1/audit?subject={webhook['id']}").json["items"]
        told = [(entry["action"].removeprefix("webhook."), entry["data"]) for entry in found[::-1]]
        assert told == [
            ("created", {}),
            ("updated", {"members": ["status"]}),
            ("rotated", {}),
            ("replayed", {}),
            ("deleted", {}),
        ]
        assert URL not in repr(found), "an address may have a token in it"

    @pytest.mark.parametrize(
        ("method", "end", "sent"),
        [
            ("GET", "", None),
            ("PATCH", "", {}),
            ("DELETE", "", None),
            ("POST", "/rotate", {}),
            ("POST", "/test", None),
            ("POST", "/replay", {"after": "now"}),
            ("GET", "/deliveries", None),
            ("GET", "/deliveries/x", None),
            ("POST", "/deliveries/x/replay", None),
        ],
    )
    def test_of_none_is_not_found(self, gateway: FakeGateway, method: str, end: str, sent: Any) -> None:
        answer = gateway.client.open(f"{WEBHOOKS}/nobody{end}", method=method, json=sent)
        assert_problem(answer, 404, "webhook_not_found")

    def test_a_deleted_one_hears_nothing(self, gateway: FakeGateway) -> None:
        webhook = made(gateway)
        gateway.client.post(f"{WEBHOOKS}/{webhook['id']}/test")
        assert gateway.client.delete(f"{WEBHOOKS}/{webhook['id']}").status_code == 204
        gateway.client.post(CUSTOMERS, json=body("A"))
        deliver(gateway)
        assert gateway.receiver.sent == []
        assert_problem(gateway.client.get(f"{WEBHOOKS}/{webhook['id']}"), 404, "webhook_not_found")


class TestLog:
    def test_a_test_is_sent_whatever_the_status(self, gateway: FakeGateway) -> None:
        webhook = made(gateway)
        address = f"{WEBHOOKS}/{webhook['id']}"
        gateway.client.patch(address, json={"status": "paused"})
        begun = gateway.client.post(f"{address}/test")
        assert (begun.status_code, begun.json["status"], begun.json["kind"]) == (202, "waiting", "test")
        gateway.receiver.answers[URL] = [REFUSED]
        deliver(gateway)
        done = gateway.client.get(begun.headers["Location"]).json
        assert (done["status"], done["detail"], done["answer"]) == ("failed", "503 Service Unavailable", "come again")
        assert (done["attempts"], done["answer_status"], done["event"]) == (1, 503, None)
        (sent,) = gateway.receiver.bodies()
        assert (sent["type"], sent["data"]) == ("webhook.test", {"webhook": webhook["id"], "delivery": done["id"]})
        again = gateway.client.post(f"{address}/deliveries/{done['id']}/replay").json
        deliver(gateway)
        assert gateway.client.get(f"{address}/deliveries/{again['id']}").json["status"] == "delivered"
        assert [each["id"] for each in gateway.client.get(f"{address}/deliveries").json["items"]] == [
            again["id"],
            done["id"],
        ]

    def test_pages(self, gateway: FakeGateway) -> None:
        webhook = made(gateway)
        for letter in "ABC":
            gateway.client.post(CUSTOMERS, json=body(letter))
        deliver(gateway)
        address = f"{WEBHOOKS}/{webhook['id']}/deliveries"
        first = gateway.client.get(f"{address}?limit=4").json
        rest = gateway.client.get(f"{address}?limit=4&cursor={first['next_cursor']}").json
        items = first["items"] + rest["items"]
        assert len({each["id"] for each in items}) == 6
        assert {each["status"] for each in items} == {"delivered"}
        assert gateway.client.get(f"{address}?status=failed").json["items"] == []
        assert_problem(gateway.client.get(f"{address}?status=odd"), 422, "validation_failed", ["?status"])
        assert_problem(gateway.client.get(f"{address}/x"), 404, "delivery_not_found")

    def test_one_event_once_more(self, gateway: FakeGateway) -> None:
        webhook = made(gateway, types=["customer.created"])
        gateway.client.post(CUSTOMERS, json=body("A"))
        deliver(gateway)
        address = f"{WEBHOOKS}/{webhook['id']}"
        (delivery,) = gateway.client.get(f"{address}/deliveries").json["items"]
        cursor = gateway.client.get(address).json["cursor"]
        gateway.client.post(f"{address}/deliveries/{delivery['id']}/replay")
        deliver(gateway)
        (_, first, _), (_, second, _) = gateway.receiver.sent
        assert first == second
        assert gateway.client.get(address).json["cursor"] == cursor
        assert {each["kind"] for each in gateway.client.get(f"{address}/deliveries").json["items"]} == {
            "event",
            "replay",
        }
        gateway.changes.forget(now() + timedelta(seconds=1))
        again = gateway.client.post(f"{address}/deliveries/{delivery['id']}/replay")
        assert_problem(again, 410, "cursor_expired")

    def test_everything_since_a_cursor_once_more(self, gateway: FakeGateway) -> None:
        webhook = made(gateway, types=["customer.created"])
        for letter in "ABC":
            gateway.client.post(CUSTOMERS, json=body(letter))
        deliver(gateway)
        created = gateway.client.get("/api/v1/events?type=customer.created").json["items"]
        address = f"{WEBHOOKS}/{webhook['id']}/replay"
        moved = gateway.client.post(address, json={"after": created[0]["id"]})
        assert moved.json["cursor"] == created[0]["id"]
        deliver(gateway)
        ids = [each["data"]["subject"]["id"] for each in gateway.receiver.bodies()]
        assert ids == ["A", "B", "C", "B", "C"]
        gateway.client.post(address, json={"after": "earliest"})
        gateway.client.post(address, json={"after": "now"})
        deliver(gateway)
        assert len(gateway.receiver.sent) == 5
        assert_problem(gateway.client.post(address, json={"after": "999999"}), 410, "cursor_expired")
        assert_problem(gateway.client.post(address, json={"after": "yesterday"}), 422, "validation_failed", ["/after"])

    def test_erasing_a_customer_reaches_what_receivers_said(self, gateway: FakeGateway) -> None:
        webhook = made(gateway)
        digest = gateway.services.events.deliveries._digest
        gateway.webhook_deliveries.put(replace(FAILED, webhook_id=webhook["id"], about=digest("A")))
        receipt = gateway.client.delete(f"{CUSTOMERS}/A?erase=true").json
        assert receipt["erased"]["webhooks"] == 1
        assert gateway.client.get(f"{WEBHOOKS}/{webhook['id']}/deliveries/{FAILED.id}").json["answer"] == ""


def test_the_status_of_the_background_work_tells_of_them(gateway: FakeGateway) -> None:
    failing = made(gateway)["id"]
    gateway.client.patch(f"{WEBHOOKS}/{made(gateway)['id']}", json={"status": "paused"})
    gateway.webhooks.change(failing, {"failing_since": AT, "cursor": 1})
    gateway.client.post(CUSTOMERS, json=body("A"))
    gateway.logged()
    status = gateway.client.get("/api/v1/assignments/status").json["deliveries"]
    behind = gateway.changes.head()
    assert status == {
        "active": 1,
        "paused": 1,
        "disabled": 0,
        "failing": 1,
        "since": "2030-06-01T12:00:00.123000Z",
        "behind": behind,
    }


def test_every_type_of_the_feed_can_be_chosen(gateway: FakeGateway) -> None:
    assert made(gateway, types=list(EVENT_TYPES))["types"] == list(EVENT_TYPES)


def test_in_development_they_may_go_to_this_machine() -> None:
    assert Settings(deployment="development").webhook_networks
    assert Settings(deployment="production").webhook_networks == ()
