"""What every `RescoringRecords` and `WorkerReports` does: run over the fakes and over a real mongod.

Subclass them in a test module and give them the fixture that they ask for, without anything in it.
"""

from __future__ import annotations

from datetime import datetime

from gateway.services.assignments.reports import Report, WorkerReports
from gateway.services.assignments.rescorings import Counts, RescoringRecords

AT = datetime(2030, 5, 1, 12, 0, 0, 123000)


class RescoringRecordsContract:
    """Method names come first in the tests' names."""

    def test_done_is_the_sum_of_what_workers_have_done(self, rescorings: RescoringRecords) -> None:
        assert rescorings.done("a1") == Counts()
        rescorings.add("a1", "one", Counts(10, 2, 1))
        rescorings.add("a1", "one", Counts(5, 1, 0))
        rescorings.add("a1", "two", Counts(100, 20, 3))
        rescorings.add("a2", "one", Counts(7, 7, 7))
        assert rescorings.done("a1") == Counts(115, 23, 4)
        assert rescorings.done("a1").done == 119

    def test_end_returns_it_once(self, rescorings: RescoringRecords) -> None:
        rescorings.add("a1", "one", Counts(10, 2, 1))
        rescorings.add("a2", "one", Counts(7, 7, 7))
        assert rescorings.end("a1") == Counts(10, 2, 1)
        assert rescorings.end("a1") is None
        rescorings.add("a1", "two", Counts(0, 0, 1))
        assert rescorings.end("a1") is None
        assert rescorings.done("a1") == Counts(10, 2, 2)
        assert rescorings.end("a2") == Counts(7, 7, 7)
        rescorings.begin("a3", "one")
        assert rescorings.end("a3") == Counts()
        assert rescorings.end("a4") is None, "nobody began"
        rescorings.add("a4", "one", Counts(1))
        assert rescorings.end("a4") is None, "that was noted"
        assert rescorings.done("a4") == Counts(1)

    def test_others_are_those_who_score_and_were_heard_of(self, rescorings: RescoringRecords) -> None:
        assert not rescorings.others("a1", "one", 60)
        rescorings.begin("a1", "two")
        rescorings.begin("a2", "three")
        assert rescorings.others("a1", "one", 60)
        assert not rescorings.others("a1", "two", 60)
        assert not rescorings.others("a1", "one", -1), "silent for longer than that"
        rescorings.add("a1", "two", Counts(1))
        assert rescorings.others("a1", "one", 60)
        rescorings.pause("a1", "two")
        assert not rescorings.others("a1", "one", 60)
        rescorings.add("a1", "two", Counts(1))
        assert not rescorings.others("a1", "one", 60)


class WorkerReportsContract:
    """Method names come first in the tests' names."""

    def test_latest_is_the_last_report_of_each_with_the_last_heard_of_first(self, workers: WorkerReports) -> None:
        assert workers.latest() == []
        idle = Report("idle", AT, None, "v1", "a1", 0)
        full = Report("running", AT, "why", "v2", "a2", 5, 2.5, 40)
        workers.report("one", full)
        workers.report("two", idle)
        workers.report("one", idle)
        workers.report("one", full)
        assert sorted(each.report.state for each in workers.latest()) == ["idle", "running"]
        first, last = workers.latest()
        assert {first.report, last.report} == {full, idle}
        assert first.at >= last.at
        assert 0 <= first.silent_seconds < 60
