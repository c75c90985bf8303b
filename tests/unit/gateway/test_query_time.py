"""The queries that a page of a list takes share the time that a list may take."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from support.customers import stored

from gateway.data_access.mongo import customer_queries
from gateway.data_access.mongo.customer_queries import LimitedQueries
from gateway.services.customers.query import CustomerQuery, SortKey, order_of, position_of


class SlowCollection:
    """Finds two equal customers, fewer than are wanted; each query takes a second."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.limits: list[int] = []
        client = SimpleNamespace(start_session=lambda **_: nullcontext("session"))
        self.database = SimpleNamespace(client=client)

    def distinct(self, *_: Any, **__: Any) -> list[str]:
        return ["seg-01"]

    def find(self, *_: Any, **options: Any) -> list[dict[str, Any]]:
        self.limits.append(options["max_time_ms"])
        self.now += 1.0
        found = [{"_id": f"C{n}", **stored("x")} for n in range(2)]
        for document in found:
            del document["CUST_ID"]
        return found


def test_each_query_has_the_time_that_the_others_left(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowCollection()
    monkeypatch.setattr(customer_queries, "time", SimpleNamespace(monotonic=lambda: slow.now))
    order = order_of([SortKey("BALANCE"), SortKey("PURCHASES")])
    query = CustomerQuery(order=order, after=position_of({**stored("A")}, order), limit=5)
    LimitedQueries(9.0).find(slow, query)  # type: ignore[arg-type]
    assert len(slow.limits) > 1, "otherwise this shows nothing"
    assert slow.limits == [9_000 - 1_000 * n for n in range(len(slow.limits))]
