"""``GET /assignments/status``: what the workers report, put together."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from contracts.customers import assignment
from fakes.assignments import AssignmentHarness, InMemoryWorkerReports
from fakes.gateway import FakeGateway
from fakes.model import DOWN, FakeModel
from fakes.store import InMemoryCustomerStore
from support.customers import body, stored
from support.problems import assert_problem

from gateway.services.assignments import reconciler as reconciliation
from gateway.services.assignments.reports import REPORT_SECONDS, Report, Reporter, RescoringState
from gateway.services.assignments.rescorings import WORKER_TIMEOUT, Counts
from gateway.services.errors import ModelUnavailable, QueryTimeout, StoreUnavailable

STATUS = "/api/v1/assignments/status"
AT = datetime(2030, 5, 1, 12, 0, 0)


def rescoring(gateway: FakeGateway) -> dict[str, Any]:
    answer = gateway.client.get(STATUS)
    assert answer.status_code == 200
    return answer.get_json()["rescoring"]


def running(left: int, rate: float | None = None, since: datetime = AT) -> Report:
    return Report("running", since, None, "v2", "event-2", left, rate)


class TestTheStatus:
    def test_of_one_worker_says_how_far_it_is(self, gateway: FakeGateway) -> None:
        gateway.rescorings.add("event-2", "one", Counts(600, 20, 1))
        gateway.rescorings.add("event-2", "dead", Counts(100, 0, 0))
        gateway.rescorings.add("event-1", "one", Counts(5, 5, 5))
        gateway.workers.report("one", running(300, 50.0))
        found = rescoring(gateway)
        as_of = datetime.fromisoformat(found["as_of"])
        eta = datetime.fromisoformat(found.pop("eta"))
        assert timedelta(seconds=4) <= eta - as_of <= timedelta(seconds=60)
        assert {name: value for name, value in found.items() if name != "as_of"} == {
            "state": "running",
            "workers": 1,
            "model_version": "v2",
            "done": 701,
            "left": 300,
            "rate_per_second": 50.0,
            "since": "2030-05-01T12:00:00Z",
            "reason": None,
        }

    @pytest.mark.parametrize(("scored", "left"), [(0, 8931), (4900, 4031), (8931, 0), (9100, 0)])
    def test_adds_up_though_what_is_left_was_counted_earlier(
        self, gateway: FakeGateway, scored: int, left: int
    ) -> None:
        gateway.rescorings.add("event-2", "one", Counts(100))
        gateway.workers.report("one", replace(running(8931), done=100))
        gateway.rescorings.add("event-2", "two", Counts(scored))
        found = rescoring(gateway)
        assert (found["done"], found["left"]) == (100 + scored, left)

    def test_of_several_is_running_while_one_of_them_works(self, gateway: FakeGateway) -> None:
        gateway.workers.report("stuck", Report("standing_still", AT, "The model service cannot be reached."))
        gateway.workers.report("one", running(310, 20.5, AT + timedelta(seconds=9)))
        gateway.workers.report("two", running(300, 10.0))
        gateway.workers.report("idle", Report("idle", AT, None, "v2", "event-2", 0))
        found = rescoring(gateway)
        assert (found["state"], found["reason"], found["left"], found["workers"]) == ("running", None, 300, 4)
        assert (found["rate_per_second"], found["since"]) == (30.5, "2030-05-01T12:00:00Z")

    def test_of_one_that_stands_still_says_why_though_others_are_idle(self, gateway: FakeGateway) -> None:
        gateway.workers.report("one", Report("standing_still", AT, "They lack TENURE.", "v2", "event-2", 7))
        gateway.workers.report("two", Report("idle", AT, None, "v2", "event-2", 0))
        found = rescoring(gateway)
        assert (found["state"], found["reason"], found["left"], found["eta"]) == (
            "standing_still",
            "They lack TENURE.",
            7,
            None,
        )

    def test_where_no_worker_has_ever_reported(self, gateway: FakeGateway) -> None:
        found = rescoring(gateway)
        assert (found.pop("state"), found.pop("reason"), found.pop("done")) == (
            "standing_still",
            "No worker has reported.",
            0,
        )
        assert found.pop("workers") == 0
        assert set(found.values()) == {None}

    def test_where_the_worker_is_gone_says_since_when(self, gateway: FakeGateway) -> None:
        gateway.workers.report("one", running(300, 50.0))
        gateway.workers.silent = WORKER_TIMEOUT
        found = rescoring(gateway)
        assert (found["state"], found["left"], found["rate_per_second"]) == ("standing_still", 300, None)
        assert found["workers"] == 0
        assert found["since"] == found["as_of"]
        assert found["reason"].startswith("No worker has reported since 20")

    def test_counts_what_waits_for_the_log(self, gateway: FakeGateway) -> None:
        assert gateway.client.get(STATUS).get_json()["relay"] == {"waiting": 0, "oldest": None}
        gateway.client.post("/api/v1/customers", json=body("A"))
        relay = gateway.client.get(STATUS).get_json()["relay"]
        assert relay["waiting"] == 1
        assert relay["oldest"] is not None

    def test_says_how_old_the_sizes_are(self, gateway: FakeGateway) -> None:
        gateway.services.segments.counting.run_once()
        found = gateway.client.get(STATUS).get_json()["snapshots"]
        assert (found["state"], found["as_of"] is None) == ("fresh", False)

    def test_needs_the_database(self, gateway: FakeGateway) -> None:
        gateway.workers.failure = StoreUnavailable("The database cannot be reached.")
        assert_problem(gateway.client.get(STATUS), 503, "store_unavailable")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class RecordedReports(InMemoryWorkerReports):
    """Reports, and all of them in order."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Report] = []

    def report(self, worker: str, report: Report) -> None:
        super().report(worker, report)
        self.all.append(report)


class TestAWorkerReports:
    @pytest.fixture
    def harness(self, store: InMemoryCustomerStore) -> AssignmentHarness:
        return AssignmentHarness(store, reports=RecordedReports())

    def test_how_far_it_is_and_that_nothing_is_left(
        self,
        harness: AssignmentHarness,
        store: InMemoryCustomerStore,
        model: FakeModel,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(reconciliation, "BATCH", 2)
        store.insert_many([stored(f"C{n}", assignment(version="v0")) for n in range(6)])
        clock = Clock()

        def two_seconds() -> None:
            clock.now += REPORT_SECONDS

        harness.worker(model, clock=clock).run_once(two_seconds)
        dones = (0, 2, 4, 6, 6)
        said = [
            (report.state, report.left_after(done), report.rate_per_second)
            for report, done in zip(harness.reports.all, dones, strict=True)
        ]
        assert said == [
            ("running", 6, None),
            ("running", 4, 1.0),
            ("running", 2, 1.0),
            ("running", 0, 1.0),
            ("idle", 0, None),
        ]
        assert {report.model_version for report in harness.reports.all} == {"v1"}

    def test_why_it_stands_still_until_it_does_not(
        self, harness: AssignmentHarness, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        worker = harness.worker(model)
        store.insert(stored("A"))
        model.failure = DOWN
        for _ in range(2):
            with pytest.raises(ModelUnavailable):
                worker.run_once()
        model.failure = None
        worker.run_once()
        states: list[tuple[RescoringState, str | None]] = [
            (report.state, report.reason) for report in harness.reports.all
        ]
        assert states == [("standing_still", str(DOWN)), ("running", None), ("idle", None)]

    def test_who_is_left_out(self, harness: AssignmentHarness, store: InMemoryCustomerStore, model: FakeModel) -> None:
        store.insert_many([stored(name, assignment(version="v0")) for name in "AB"])
        del store.customers["A"]["TENURE"]
        worker = harness.worker(model)
        worker.run_once()
        last = harness.reports.all[-1]
        assert (last.state, last.left) == ("standing_still", 1)
        assert last.reason is not None
        assert "TENURE, which model v1 needs" in last.reason
        store.customers["A"] = stored("A", assignment())
        worker.run_once()
        assert (harness.reports.all[-1].state, harness.reports.all[-1].reason) == ("idle", None)

    def test_nothing_about_how_many_where_counting_takes_too_long(
        self,
        harness: AssignmentHarness,
        store: InMemoryCustomerStore,
        model: FakeModel,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        store.insert(stored("A"))

        def count(*_: Any, **__: Any) -> None:
            raise QueryTimeout(3.0, ["CUST_ID"])

        monkeypatch.setattr(store, "count", count)
        assert harness.worker(model).run_once() == 1
        assert [report.left for report in harness.reports.all] == [None, 0]

    def test_again_though_nothing_is_new_but_not_at_every_look(
        self, harness: AssignmentHarness, model: FakeModel
    ) -> None:
        clock = Clock()
        worker = harness.worker(model, clock=clock)
        for _ in range(10):
            worker.run_once()
            clock.now += REPORT_SECONDS / 5
        assert len(harness.reports.all) == 2

    def test_nothing_where_the_database_is_away(self, harness: AssignmentHarness) -> None:
        reporter = Reporter(harness.reports, "one")
        harness.reports.failure = StoreUnavailable("away")
        with pytest.raises(StoreUnavailable):
            reporter.idle("v1", "event-1")
        harness.reports.failure = None
        reporter.standing_still("away")
        assert [report.state for report in harness.reports.all] == ["standing_still"]
