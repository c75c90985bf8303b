"""Workers deliver over HTTP from a real mongod, one is killed midway: nothing is lost, and the order holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes.model import FakeModel
from fakes.registry import FakeRegistry
from flask import Flask
from support.scripted_server import Request, ScriptedServer, http, serving
from support.servers import free_port
from support.webhook_worker import settings_of

from gateway.services.principal import COMMAND_LINE
from gateway.services.webhooks import deliveries
from gateway.services.webhooks.deliveries import WebhookDeliveries
from gateway.stores import Stores, connect, mongo_stores
from gateway.wiring import Services, assemble
from tests.conftest import ROOT

EVENTS, SECONDS = 60, 60.0


@dataclass
class Listener:
    """A receiver's script: keeps what it is sent, and calls `then` once it has answered."""

    received: list[Request] = field(default_factory=list)
    then: Callable[[int], None] = lambda count: None
    answer: bytes = field(default_factory=lambda: http("", "204 No Content"))

    def __call__(self, server: ScriptedServer, connection: Any, request: Request) -> bool:
        self.received.append(request)
        count = len(self.received)
        connection.sendall(self.answer)
        self.then(count)
        return False

    @property
    def ids(self) -> list[str]:
        """The ids of what was sent, in the order in which it came."""
        return [request.headers["webhook-id"] for request in self.received]


@contextmanager
def worker(uri: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker in a process of its own."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    with subprocess.Popen([sys.executable, "-m", "support.webhook_worker", uri], cwd=ROOT, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def working(*duties: WebhookDeliveries) -> Iterator[None]:
    """Let workers deliver meanwhile, each in a thread."""
    ended = threading.Event()

    def work(duty: WebhookDeliveries) -> None:
        while not ended.wait(0.02):
            duty.run_once()
        duty.wait()

    threads = [threading.Thread(target=work, args=[duty]) for duty in duties]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def wait_until(holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


@pytest.fixture
def stores(mongodb_uri: str) -> Iterator[Stores]:
    """The stores on the test's database."""
    settings = settings_of(mongodb_uri)
    database = connect(Flask("test"), settings)
    yield mongo_stores(database, settings)
    database.client.close()


@pytest.fixture
def services(stores: Stores, mongodb_uri: str, monkeypatch: pytest.MonkeyPatch) -> Services:
    """The services of a worker that tries again soon."""
    monkeypatch.setattr(deliveries, "FIRST_RETRY", 0.05)
    return _services(stores, mongodb_uri)


def _services(stores: Stores, uri: str) -> Services:
    return assemble(stores, FakeModel(), FakeRegistry(), settings_of(uri))


def happen(services: Services, count: int) -> None:
    """Let so many things happen, and be in the log."""
    recorder = services.models.trainings._recorder
    for number in range(count):
        recorder.note("segment.relabelled", "segment", f"seg-{number}")
    while services.relay.run_once():
        pass


def feed(services: Services) -> Mapping[str, Any]:
    """Return the events by what a receiver knows them by, in their order."""
    return {f"evt_{event['id']}": event for event in services.events.feed.after(1, None, 10_000, 0.0).items}


def test_a_worker_that_is_killed_midway_loses_nothing(services: Services, stores: Stores, mongodb_uri: str) -> None:
    """It has sent an event and cannot say so any more: the next worker sends it again, with the same id."""
    hooks = services.events.webhooks
    crm, flaky = Listener(), Listener()
    killed = threading.Event()
    with serving(crm) as to_crm, serving(flaky) as to_flaky, worker(mongodb_uri) as doomed:

        def kill(count: int) -> None:
            if count == EVENTS // 3 and not killed.is_set():
                doomed.kill()
                killed.set()

        def fail_sometimes(count: int) -> None:
            flaky.answer = http("no", "503 Busy") if count % 7 == 0 else http("", "204 No Content")

        crm.then, flaky.then = kill, fail_sometimes
        hooks.create(to_crm.url, COMMAND_LINE)
        hooks.create(to_flaky.url, COMMAND_LINE)
        dead = hooks.create(f"http://127.0.0.1:{free_port()}/", COMMAND_LINE)["id"]
        happen(services, EVENTS)
        assert killed.wait(SECONDS)
        events = feed(services)
        assert len(set(crm.ids)) < EVENTS
        with working(services.events.deliveries, _services(stores, mongodb_uri).events.deliveries):
            wait_until(lambda: len(set(crm.ids)) == len(set(flaky.ids)) == EVENTS)
    assert list(dict.fromkeys(crm.ids)) == list(dict.fromkeys(flaky.ids)) == list(events)
    assert EVENTS <= len(crm.ids) <= EVENTS + 1, "at most the one that was on its way is sent again"
    for request in crm.received:
        sent, event = json.loads(request.body), events[request.headers["webhook-id"]]
        assert (sent["type"], sent["data"]["subject"]) == (event["type"], event["subject"])
    failing = hooks.get(dead)
    assert (failing["status"], failing["delivered_at"]) == ("active", None)
    assert failing["attempts"] > 1
    assert hooks.deliveries(dead, "retrying", None, 9).items[0]["detail"] == "The connection was refused."


def test_two_workers_share_webhooks_and_tell_each_event_once(
    services: Services, stores: Stores, mongodb_uri: str
) -> None:
    listeners = [Listener() for _ in range(3)]
    with serving(listeners[0]) as a, serving(listeners[1]) as b, serving(listeners[2]) as c:
        for server in (a, b, c):
            services.events.webhooks.create(server.url, COMMAND_LINE)
        with working(services.events.deliveries, _services(stores, mongodb_uri).events.deliveries):
            happen(services, 20)
            wait_until(lambda: all(len(set(each.ids)) == 20 for each in listeners))
    assert [each.ids for each in listeners] == [list(feed(services))] * 3
