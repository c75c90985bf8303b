"""Deletions, restores and erasures that are held up before any one of their commands, while others go on."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import pytest
from fakes.model import FakeModel
from fakes.registry import FakeRegistry
from flask import Flask
from flask_pymongo import PyMongo
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from support.customers import inputs, knowing

from gateway import stores
from gateway.services.errors import CustomerNotDeleted, CustomerNotFound, SegmentationError
from gateway.settings import Settings
from gateway.stores import mongo_stores
from gateway.wiring import Services, assemble

LONGEST_WAIT = 0.25
"""Seconds after which whoever is held up goes on: the others may be waiting for what it holds."""


class HoldUp(CommandListener):
    """Lets a thread wait before one of the commands that it sends.

    Attributes
    ----------
    sent : the names of the commands that the thread has sent.
    """

    def __init__(self) -> None:
        self.before = -1
        self.sent: list[str] = []
        self.thread: threading.Thread | None = None
        self.waiting, self.go_on = threading.Event(), threading.Event()

    def started(self, event: CommandStartedEvent) -> None:
        if threading.current_thread() is self.thread:
            if len(self.sent) == self.before:
                self.waiting.set()
                self.go_on.wait()
            self.sent.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...

    @contextmanager
    def of(self, work: Callable[[], object], before: int) -> Iterator[bool]:
        """Let `work` go on until it would send the command of this number; say whether it did not end before."""
        self.before, self.sent = before, []
        self.waiting.clear()
        self.go_on.clear()
        self.thread = threading.Thread(target=work)
        self.thread.start()
        while not self.waiting.wait(0.01) and self.thread.is_alive():
            pass
        try:
            yield self.waiting.is_set()
        finally:
            self.go_on.set()
            self.thread.join()


@contextmanager
def _gateway(uri: str) -> Iterator[Services]:
    settings = Settings(mongodb_uri=uri)
    database = stores.connect(Flask("test"), settings)
    yield assemble(mongo_stores(database, settings), FakeModel(), FakeRegistry(), settings)
    database.client.close()


@pytest.fixture
def hold_up() -> HoldUp:
    """Holds up what the first gateway does."""
    return HoldUp()


@pytest.fixture
def first(mongodb_uri: str, hold_up: HoldUp, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """A gateway that can be held up."""
    with monkeypatch.context() as patch:
        patch.setattr("gateway.stores.PyMongo", partial(PyMongo, event_listeners=[hold_up]))
        with _gateway(mongodb_uri) as services:
            _use_everything(services)
            yield services


@pytest.fixture
def second(mongodb_uri: str) -> Iterator[Services]:
    """Another gateway on the same database."""
    with _gateway(mongodb_uri) as services:
        _use_everything(services)
        yield services


def _use_everything(services: Services) -> None:
    """Have the collections made, so that what follows sends nothing but its own commands."""
    _create(services, "before")
    _delete(services, "before")
    _restore(services, "before")
    _erase(services, "before")


def _create(services: Services, cust_id: str) -> None:
    services.customers.create(cust_id, inputs())


def _delete(services: Services, cust_id: str) -> None:
    services.deletions.delete(cust_id)


def _restore(services: Services, cust_id: str) -> None:
    services.deletions.restore(cust_id)


def _erase(services: Services, cust_id: str) -> None:
    services.erasures.erase(cust_id)


def _erase_as_it_is(services: Services, cust_id: str) -> None:
    services.erasures.erase(cust_id, knowing(services.customers.get(cust_id)["revision"]))


Step = Callable[[Services, str], None]


def _is_kept(services: Services, cust_id: str) -> bool:
    """Whether the customer is living or can be restored."""
    for find in (services.customers.get, services.deletions.get):
        with suppress(CustomerNotFound, CustomerNotDeleted):
            find(cust_id)
            return True
    return False


def _quietly(services: Services, cust_id: str, *steps: Step) -> None:
    for step in steps:
        with suppress(SegmentationError):
            step(services, cust_id)


def _with_others_at_every_command(
    first: Services, second: Services, hold_up: HoldUp, held: Step, others: tuple[Step, ...], *, living: bool
) -> Iterator[tuple[str, str]]:
    """Hold `held` up before each of its commands while `others` go on; yield the customer and where it was."""
    for number in itertools.count():
        cust_id = f"C{number}"
        _create(second, cust_id)
        if not living:
            _delete(second, cust_id)
        with hold_up.of(lambda: _quietly(first, cust_id, held), number) as reached:  # noqa: B023  # ends with the round
            if not reached:
                break
            going = threading.Thread(target=_quietly, args=(second, cust_id, *others))
            going.start()
            going.join(LONGEST_WAIT)
        going.join()
        yield cust_id, f"before command {number} of {hold_up.sent}"
    assert number > 2


@pytest.mark.parametrize("others", [(_delete, _restore), (_delete,), (_create, _delete), (_delete, _create, _delete)])
def test_a_restore_that_is_held_up_loses_nobody(
    first: Services, second: Services, hold_up: HoldUp, others: tuple[Step, ...]
) -> None:
    for cust_id, place in _with_others_at_every_command(first, second, hold_up, _restore, others, living=False):
        assert _is_kept(second, cust_id), place


@pytest.mark.parametrize("others", [(_delete, _restore), (_restore,), (_delete,), (_delete, _create)])
def test_a_deletion_that_is_held_up_loses_nobody(
    first: Services, second: Services, hold_up: HoldUp, others: tuple[Step, ...]
) -> None:
    for cust_id, place in _with_others_at_every_command(first, second, hold_up, _delete, others, living=True):
        assert _is_kept(second, cust_id), place


@pytest.mark.parametrize("others", [(_delete, _restore), (_delete,)])
def test_an_erasure_of_a_revision_that_is_held_up_takes_that_one_or_nobody(
    first: Services, second: Services, hold_up: HoldUp, others: tuple[Step, ...]
) -> None:
    for cust_id, place in _with_others_at_every_command(first, second, hold_up, _erase_as_it_is, others, living=True):
        erased = bool(second.erasures.of(cust_id)["items"])
        assert _is_kept(second, cust_id) != erased, place


def test_an_erasure_that_is_held_up_leaves_nobody_who_was_there_before(
    first: Services, second: Services, hold_up: HoldUp
) -> None:
    for cust_id, place in _with_others_at_every_command(
        first, second, hold_up, _erase, (_delete, _restore), living=True
    ):
        assert not _is_kept(second, cust_id), place
