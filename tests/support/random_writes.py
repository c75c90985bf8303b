"""Writes of all kinds, drawn at random and sent to a running gateway whose processes may die at any moment.

Each request has an id of its own, which the change log keeps: so what was acknowledged can be looked for in it, and
what was sent without an answer may be there or not, but not twice.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import requests

from shared.features import INPUT_NAMES
from support.customers import body, inputs

PLAIN = [f"P{n:02d}" for n in range(24)]
ERASABLE = [f"E{n}" for n in range(6)]
IMPORTED = [f"I{n:02d}" for n in range(20)]
BATCH = 5
_values = itertools.count(1)


class Answer(NamedTuple):
    """What a client saw of one request; status None: nothing, as the connection broke or nobody answered in time."""

    kind: str
    request_id: str
    sent_at: float
    ended_at: float
    status: int | None
    code: str
    retry_after: str | None

    @property
    def writes(self) -> bool:
        """Whether it is a write that was acknowledged."""
        return self.status is not None and self.status < 300 and self.kind not in READS


READS = ("get", "list", "predict", "events")


@dataclass
class Sent:
    """What was sent and what came of it.

    Attributes
    ----------
    acknowledged : how many entries the log must have of each request that was answered well, by the request's id, which
        says what it was and of whom.
    unknown : ids of requests that nobody knows the outcome of.
    imports : ids of imports that were acknowledged.
    statuses : how often each kind of request came to which status.
    answers : all of them, in the order in which they ended.
    """

    acknowledged: dict[str, int] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    imports: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    answers: list[Answer] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def writes(self) -> int:
        """How many requests were answered well."""
        return len(self.acknowledged)


class Writer:
    """One client; several may share what they have `Sent`."""

    def __init__(self, base: str, key: str, sent: Sent, seed: int, timeout: float = 30.0) -> None:
        self._base = base
        self._sent = sent
        self._timeout = timeout
        self._name = f"w{seed}"
        self._dice = random.Random(seed)
        self._numbers = itertools.count()
        self._http = requests.Session()
        self._http.headers["Authorization"] = f"Bearer {key}"

    def run(self, writes: int) -> None:
        """Write until so many writes of all clients together are acknowledged."""
        while self._sent.writes < writes:
            self.write()
        self._http.close()

    def run_until(self, over: threading.Event, pause: float) -> None:
        """Write, with a pause after each request, until it is over."""
        while not over.wait(pause):
            self.write()
        self._http.close()

    def write(self) -> None:
        """Write something, somewhere."""
        cust_id = self._dice.choice(PLAIN + ERASABLE + IMPORTED)
        do = self._dice.choice(self._doings(cust_id))
        kind = do.__name__[1:]
        request_id = f"{self._name}-{next(self._numbers)}-{kind}-{cust_id}"
        self._http.headers["X-Request-ID"] = request_id
        sent_at = time.monotonic()
        try:
            answer = do(cust_id)
        except requests.RequestException:
            self._note(kind, request_id, sent_at, None)
            time.sleep(0.05)  # somebody has been killed
        else:
            self._note(kind, request_id, sent_at, answer)

    def _doings(self, cust_id: str) -> list[Callable[[str], requests.Response]]:
        """Return what may be done to a customer, the more often the likelier."""
        doings: list[Callable[[str], requests.Response]] = [self._create, self._put, self._patch] * 4
        doings += [self._delete, self._restore] * 2 + [self._rescore, self._batch, self._import, self._key]
        return doings + [self._erase] * (3 if cust_id in ERASABLE else 0)

    def _note(self, kind: str, request_id: str, sent_at: float, answer: requests.Response | None) -> None:
        sent = self._sent
        with sent.changed:
            sent.answers.append(_seen(kind, request_id, sent_at, answer))
            sent.statuses[f"{kind} {answer.status_code if answer is not None else 'no answer'}"] += 1
            if kind in READS:
                return
            if answer is None or answer.status_code >= 500:
                sent.unknown.add(request_id)
            elif answer.ok:
                sent.acknowledged[request_id] = self._entries(kind, answer)
                sent.changed.notify_all()

    def _entries(self, kind: str, answer: requests.Response) -> int:
        """Return how many entries the log must have of an answered request."""
        if kind == "batch":
            return int(answer.json()["created"] + answer.json()["updated"])
        if kind == "import":
            self._sent.imports.append(answer.json()["id"])
            return 0  # some of its own, with other rules: see `imports`
        return 1

    def _send(self, method: str, path: str, json: Any = None) -> requests.Response:
        return self._http.request(method, f"{self._base}/api/v1/{path}", json=json, timeout=self._timeout)

    @staticmethod
    def _features() -> dict[str, Any]:
        # Never the same again, so that every write is a change; on both sides of the model's limits.
        number = next(_values)
        return inputs(BALANCE=number * 617 % 2_000 + number / 1e6)

    def _create(self, cust_id: str) -> requests.Response:
        return self._send("POST", "customers", {**body(cust_id), **self._features()})

    def _put(self, cust_id: str) -> requests.Response:
        return self._send("PUT", f"customers/{cust_id}", self._features())

    def _patch(self, cust_id: str) -> requests.Response:
        return self._send("PATCH", f"customers/{cust_id}", {"BALANCE": self._features()["BALANCE"]})

    def _delete(self, cust_id: str) -> requests.Response:
        return self._send("DELETE", f"customers/{cust_id}")

    def _restore(self, cust_id: str) -> requests.Response:
        return self._send("POST", f"customers/{cust_id}/restore")

    def _rescore(self, cust_id: str) -> requests.Response:
        return self._send("POST", f"customers/{cust_id}/segment")

    def _erase(self, cust_id: str) -> requests.Response:
        return self._send("DELETE", f"customers/{cust_id}?erase=true")

    def _batch(self, _: str) -> requests.Response:
        rows = [{**body(cust_id), **self._features()} for cust_id in self._dice.sample(PLAIN, BATCH)]
        return self._send("POST", "customers/batch", {"customers": rows})

    def _import(self, _: str) -> requests.Response:
        rows = [[cust_id, *self._features().values()] for cust_id in IMPORTED]
        text = "\n".join(",".join(map(str, row)) for row in [["CUST_ID", *INPUT_NAMES], *rows])
        headers = {"Content-Type": "text/csv"}
        return self._http.post(f"{self._base}/api/v1/imports", data=text, headers=headers, timeout=self._timeout)

    def _key(self, _: str) -> requests.Response:
        return self._send("POST", "api-keys", {"name": self._name, "scopes": ["customers:read"]})


class Client(Writer):
    """One that reads as well, and asks for predictions."""

    def _doings(self, cust_id: str) -> list[Callable[[str], requests.Response]]:
        return super()._doings(cust_id) + [self._get] * 3 + [self._list, self._predict, self._events]

    def _get(self, cust_id: str) -> requests.Response:
        return self._send("GET", f"customers/{cust_id}")

    def _list(self, _: str) -> requests.Response:
        return self._send("GET", "customers?limit=20&sort=-BALANCE")

    def _predict(self, _: str) -> requests.Response:
        return self._send("POST", "predictions", self._features())

    def _events(self, _: str) -> requests.Response:
        return self._send("GET", "events?after=0&limit=50")


def _seen(kind: str, request_id: str, sent_at: float, answer: requests.Response | None) -> Answer:
    if answer is None:
        return Answer(kind, request_id, sent_at, time.monotonic(), None, "", None)
    problem = answer.headers.get("Content-Type", "").startswith("application/problem+json")
    code = str(answer.json()["code"]) if problem else ""
    retry_after = answer.headers.get("Retry-After")
    return Answer(kind, request_id, sent_at, time.monotonic(), answer.status_code, code, retry_after)


def follow(base: str, key: str, over: threading.Event, seen: list[int]) -> None:
    """Read the feed of events all the time, from its beginning, until it is over and there is nothing more."""
    cursor = "0"
    with requests.Session() as http:
        http.headers["Authorization"] = f"Bearer {key}"
        while True:
            last = over.is_set()
            try:
                answer = http.get(f"{base}/api/v1/events", params={"after": cursor, "limit": "100"}, timeout=30)
            except requests.RequestException:
                continue
            if not answer.ok:
                assert answer.status_code >= 500, answer.text
                continue
            page = answer.json()
            seen += [int(event["id"]) for event in page["items"]]
            cursor = page["next_cursor"]
            if last and not page["more"]:
                return
