"""Made-up histories of customers: what is stored of them in the end, what the change log has, and where they were."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from gateway.services.customers.customer import Customer
from support.customers import stored

START = datetime(2026, 3, 1, 12)
SEGMENTS = ("seg-01", "seg-02", "seg-03")
Matrix = Counter[tuple[str | None, str | None]]


@dataclass
class _Life:
    """A customer's segment at a time, since when it is in it and why; when it was created."""

    segment: str | None
    since: datetime
    cause: str
    created: datetime


@dataclass
class History:
    """A world in which something happens every second.

    Attributes
    ----------
    entries : of the change log, with positions.
    states : by time, the segment of everybody who had one.
    """

    seed: int
    steps: int = 150
    names: str = "ABCDEFGH"
    entries: list[dict[str, Any]] = field(default_factory=list)
    states: dict[datetime, dict[str, str]] = field(default_factory=dict)
    _lives: dict[str, _Life] = field(default_factory=dict)
    _last_causes: dict[str, list[tuple[datetime, str | None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        for step in range(self.steps):
            at = START + timedelta(seconds=step)
            if step:
                self._happen(self.random.choice(self.names), at)
            self.states[at] = {name: life.segment for name, life in self._lives.items() if life.segment is not None}

    def customers(self) -> list[Customer]:
        """Return what is stored in the end; each has another BALANCE, one no CREDIT_LIMIT."""
        found = []
        for number, (name, life) in enumerate(sorted(self._lives.items())):
            assignment: Any = life.segment and {
                "id": life.segment,
                "confidence": 0.95 if number % 2 else 0.5,
                "rival": None,
                "model_version": "v1",
                "assigned_at": life.since,
                "since": life.since,
                "cause": life.cause,
            }
            limit = None if number == 1 else 100.0
            times = {"created_at": life.created, "updated_at": START + timedelta(days=1)}
            status = "assigned" if assignment else "pending"
            customer = stored(name, BALANCE=float(number), CREDIT_LIMIT=limit)
            found.append(customer | times | {"segment": assignment, "segment_status": status})  # type: ignore[operator]
        return found  # type: ignore[return-value]

    def moves(self, since: datetime, until: datetime) -> tuple[Matrix, Counter[str]]:
        """Return who was elsewhere later, by the states; and the causes, by the last thing that happened to each."""
        before, after = self.states[since], self.states[until]
        moved = [name for name in {*before, *after} if before.get(name) != after.get(name)]
        causes = Counter(self._cause(name, since, until) or "deleted" for name in moved)
        return Counter((before.get(name), after.get(name)) for name in moved), causes

    def _cause(self, name: str, since: datetime, until: datetime) -> str | None:
        return [cause for at, cause in self._last_causes[name] if since < at <= until][-1]

    def _happen(self, name: str, at: datetime) -> None:
        life = self._lives.get(name)
        if life is None:
            self._create(name, at)
        elif self.random.random() < 0.2:
            del self._lives[name]
            self._change(name, life, None, None, at)
        elif life.segment is None or self.random.random() < 0.8:
            target = self.random.choice([each for each in SEGMENTS if each != life.segment])
            self._change(name, life, target, self.random.choice(["customer_data", "model_activated", "import"]), at)
        else:
            self._change(name, life, None, "customer_data", at)

    def _create(self, name: str, at: datetime) -> None:
        target, cause = self.random.choice(SEGMENTS), self.random.choice(["import", "customer_data", "restored"])
        new = self._lives[name] = _Life(None, at, cause, at)
        if cause == "import":  # which no entry tells
            new.segment = target
            self._last_causes.setdefault(name, []).append((at, cause))
        else:
            self._change(name, new, target, cause, at)

    def _change(self, name: str, life: _Life, target: str | None, cause: str | None, at: datetime) -> None:
        if life.segment != target:
            self._last_causes.setdefault(name, []).append((at, cause))
            segment = {
                "from": life.segment,
                "from_since": life.since if life.segment else None,
                "to": target,
                "confidence": None,
                "rival": None,
                "model_version": None,
            }
            self.entries.append(
                {
                    "position": len(self.entries) + 1,
                    "at": at,
                    "type": "customer.updated",
                    "cause": cause,
                    "subject": {"type": "customer", "id": name},
                    "segment": segment,
                }
            )
        life.segment, life.since, life.cause = target, at, cause or ""
