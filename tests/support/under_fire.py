"""Clients that do everything to a running system while something is done to it, and what they saw of that."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import requests
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

from support.random_writes import Answer, Client, Sent
from support.told_once import each_acknowledged_change_is_there_once, numbers_have_no_gap, what_is_left

Document = dict[str, Any]

CLIENTS = 4
PAUSE = 0.02
"""Seconds between a client's requests: what is tried here is not speed."""
SETTLING = 120.0
BULK_DEADLINE = 8.0
"""Seconds that MongoDB has for many customers."""
WELL = 30
"""Writes of all kinds that must have been acknowledged before and after the fault."""
ANSWERS = (502, 503, 504)
"""What a fault may come to; 500 is a fault of the program."""


class Row(NamedTuple):
    """A line of the table."""

    case: str
    done: str
    seen: str
    gap: str
    lost: str
    recovered: str


class Health(NamedTuple):
    """What ``/health/ready`` said; status None: nothing."""

    asked_at: float
    ended_at: float
    status: int | None
    model_service: str


@dataclass
class Fire:
    """A system under load.

    Attributes
    ----------
    began, mending, ended : when the fault began, when somebody set about ending it, and when it was over.
    longest : seconds within which every request must have been answered.
    """

    base: str
    key: str
    uri: str
    longest: float
    sent: Sent = field(default_factory=Sent)
    health: list[Health] = field(default_factory=list)
    began: float = 0.0
    mending: float = 0.0
    ended: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)
    clients: int = CLIENTS

    @contextmanager
    def lit(self) -> Iterator[Fire]:
        """Let clients go on until the end of the block; before it, everything works."""
        patience = 3 * self.longest + BULK_DEADLINE
        clients = [Client(self.base, self.key, self.sent, seed, patience) for seed in range(self.clients)]
        threads = [threading.Thread(target=client.run_until, args=[self.over, PAUSE]) for client in clients]
        threads.append(threading.Thread(target=self._watch))
        for thread in threads:
            thread.start()
        try:
            self.acknowledged(WELL)
            yield self
        finally:
            self.over.set()
            for thread in threads:
                thread.join()

    def _watch(self) -> None:
        with requests.Session() as http:
            while not self.over.wait(0.1):
                asked_at = time.monotonic()
                try:
                    answer = http.get(f"{self.base}/health/ready", timeout=3 * self.longest)
                    said = str(answer.json().get("model_service", ""))
                    self.health.append(Health(asked_at, time.monotonic(), answer.status_code, said))
                except requests.RequestException:
                    self.health.append(Health(asked_at, time.monotonic(), None, ""))

    @contextmanager
    def fault(self) -> Iterator[None]:
        """Mark the time in which the fault is there."""
        self.began = time.monotonic()
        yield
        self.ended = time.monotonic()
        self.mending = self.mending or self.ended

    def is_being_mended(self) -> None:
        """Mark the moment before something is started again: some of it works before all of it is said to."""
        self.mending = time.monotonic()

    def acknowledged(self, more: int, seconds: float = SETTLING) -> None:
        """Wait until so many more writes have been acknowledged."""
        wanted = self.sent.writes + more
        with self.sent.changed:
            enough = self.sent.changed.wait_for(lambda: self.sent.writes >= wanted, seconds)
        assert enough, f"{self.sent.writes} of {wanted} writes within {seconds} s: {self.sent.statuses}"

    def answered(self, more: int, which: Callable[[Answer], bool], what: str, seconds: float = SETTLING) -> None:
        """Wait until clients have had so many more answers of some kind."""
        begin = len(self.sent.answers)
        give_up_at = time.monotonic() + seconds
        while sum(map(which, self.sent.answers[begin:])) < more:
            assert time.monotonic() < give_up_at, f"not within {seconds} s: {what}; {self.sent.statuses}"
            time.sleep(0.05)

    def refused(self, more: int) -> None:
        """Wait until so many more requests have been refused because of the fault."""
        self.answered(more, lambda answer: answer.status in ANSWERS, f"{more} refusals")

    def recovers(self, seconds: float) -> float:
        """Wait until writes of all kinds and health are well again; return how long that took."""
        give_up_at = self.ended + seconds
        while True:
            writes = [a for a in self.sent.answers if a.writes and a.ended_at > self.ended]
            ready = [health for health in self.health if health.status == 200 and health.asked_at > self.ended]
            if ready and writes:
                return max(min(a.ended_at for a in writes), min(h.ended_at for h in ready)) - self.ended
            assert time.monotonic() < give_up_at, f"not well again within {seconds} s: {self.sent.statuses}"
            time.sleep(0.02)

    # What is true of every case -------------------------------------------------------------------------------
    def proved(self, *, unanswered: bool = False, active: str | None = None) -> None:
        """Assert what must hold whatever has been done; after the end of the block.

        Parameters
        ----------
        unanswered : whether requests may have had no answer, as their server was killed.
        active : the version that everybody must be assigned by in the end; None to leave that out.
        """
        answers = self.sent.answers
        wrong = [a for a in answers if a.status is not None and a.status >= 500 and a.status not in ANSWERS]
        assert not wrong
        assert not [a for a in answers if a.status == 503 and not a.retry_after]
        late = [a for a in answers if a.ended_at - a.sent_at > self._most(a)]
        assert not late, f"longer than {self.longest} s: {late}"
        late_health = [h for h in self.health if h.ended_at - h.asked_at > self.longest]
        assert not late_health, late_health
        if not unanswered:
            assert not [a for a in answers if a.status is None]
        with MongoClient[Document](self.uri) as client:
            self._nothing_is_lost(client.get_default_database(), active)

    def _most(self, answer: Answer) -> float:
        return self.longest + (BULK_DEADLINE if answer.kind in ("batch", "import") else 0.0)

    def _nothing_is_lost(self, database: Database[Document], active: str | None) -> None:
        give_up_at = time.monotonic() + SETTLING
        while left := self._left(database, active):
            assert time.monotonic() < give_up_at, f"left to do: {left}"
            time.sleep(0.1)
        log = list(database["changes"].find().sort("_id", 1))
        each_acknowledged_change_is_there_once(self.sent, log)
        numbers_have_no_gap(database, log)

    def _left(self, database: Database[Document], active: str | None) -> object:
        try:
            return what_is_left(database, self.sent, active)
        except PyMongoError as error:
            return error

    # What health said -----------------------------------------------------------------------------------------
    def during(self, notice: float = 0.0) -> list[Health]:
        """Return what health said to those who asked while the fault was there, some seconds after its begin."""
        return [h for h in self.health if self.began + notice <= h.asked_at and h.ended_at <= self.mending]

    def said_ready_all_along(self) -> None:
        assert {health.status for health in self.health} == {200}

    def said_not_ready(self, notice: float) -> None:
        """Assert that nobody was told that all is well while the fault was there, after some seconds to notice it."""
        during = self.during(notice)
        assert during, "somebody asked"
        assert {health.status for health in during} <= {503, None}
        assert 200 in {h.status for h in self.health if h.ended_at < self.began}

    # The table ------------------------------------------------------------------------------------------------
    def row(self, case: str, done: str, recovered: float) -> Row:
        """Return the line of the table, once everything has been proved."""
        acknowledged = sorted(a.ended_at for a in self.sent.answers if a.writes)
        gap = max(later - earlier for earlier, later in pairwise(acknowledged))
        meanwhile = [a for a in self.sent.answers if self.began <= a.ended_at <= self.ended + recovered]
        seen = Counter(_said(a) for a in meanwhile)
        text = ", ".join(f"{count} × {said}" for said, count in seen.most_common())
        lost = f"0 of {self.sent.writes}"
        return Row(case, done, text or "nothing unusual", f"{gap:.1f} s", lost, f"{recovered:.1f} s")


def _said(answer: Answer) -> str:
    if answer.status is None:
        return "no answer"
    if answer.status < 300:
        return "2xx"
    if answer.status < 500:
        return "404/409/412" if answer.status in (404, 409, 412) else f"{answer.status} {answer.code}"
    return f"{answer.status} {answer.code}"
