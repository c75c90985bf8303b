"""The list of erasures that a restore takes, and that a feed's reader knows where a restored log goes on."""

from __future__ import annotations

import re

import pytest
from contracts.changes import about
from fakes.changes import InMemoryChangeLog
from fakes.deletions import InMemoryTransactions
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway import stores
from gateway.data_access.mongo.backups.writer import NOT_BACKED_UP
from gateway.services.backups import BackupError, LaterErasures
from gateway.services.errors import CursorExpired
from gateway.services.events.feed import FeedService
from gateway.services.events.log_watcher import LogWatcher
from gateway.settings import Settings
from tests.conftest import ROOT

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
receipts = st.text("0123456789abcdef", min_size=24, max_size=24)


@given(st.lists(st.tuples(digests, receipts)), st.sets(receipts))
def test_erasures_that_the_backup_knows_are_not_carried_out_again(
    found: list[tuple[str, str]], known: set[str]
) -> None:
    lines = [f'{{"id": "{receipt}", "digest": "{digest}"}}\n'.encode() for digest, receipt in found]
    later = LaterErasures.read(lines).after(known)
    assert set(later.receipts) == {digest for digest, receipt in found if receipt not in known}


@given(st.lists(st.just(b" \n"), max_size=2), st.binary(min_size=1, max_size=30))
def test_what_is_no_erasure_is_refused_with_its_line(blank: list[bytes], line: bytes) -> None:
    assume(line.strip())
    with pytest.raises(BackupError, match=f"^line {len(blank) + 1} of the list of erasures is none"):
        LaterErasures.read([*blank, line])


def test_a_bare_digest_is_later_whatever_the_backup_knows() -> None:
    later = LaterErasures.read([b"0" * 64 + b"\n"])
    assert later.after(["e1"]).receipts == {"0" * 64: {None}}


def test_every_collection_is_backed_up_or_left_out_on_purpose() -> None:
    """As the adapters name them; the test on a real mongod looks at what a database has."""
    named = {schema.name for schema in stores.schema_of(Settings())}
    for module in (ROOT / "gateway").rglob("*.py"):
        named |= set(re.findall(r'database\["(\w+)"\]', module.read_text(encoding="utf-8")))
    assert len(named) > 12
    assert named - {*stores.BACKED_UP, *NOT_BACKED_UP} == set()


class TestFeedAcrossARestore:
    @pytest.fixture
    def feed(self) -> FeedService:
        """The feed of a log that was restored after two entries."""
        log = InMemoryChangeLog()
        log.append([about("import", f"i{n}", n, type="import.completed") for n in range(2)])
        log.append([about("backup", "b", 2, type="database.restored", follows=2)])
        log.append([about("import", "new", 3, type="import.completed")])
        for position in (3, 4):  # as if a thousand positions were left out
            entry = log.entries.pop(position)
            log.entries[position + 1_000] = {**entry, "position": position + 1_000}
        log._last = 1_004
        return FeedService(log, InMemoryTransactions(list), LogWatcher(log.head, 0.001))

    @pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5])
    def test_who_had_read_up_to_the_backup_goes_on(self, feed: FeedService, number: int) -> None:
        found = feed.after(number, None, 10, 0)
        seen = [event["subject"]["id"] for event in found.items]
        assert seen == ["i0", "i1", "new"][min(number // 2, 2) :]

    @pytest.mark.parametrize("number", [6, 7, 100, 2_004])
    def test_who_had_read_what_was_lost_begins_anew(self, feed: FeedService, number: int) -> None:
        with pytest.raises(CursorExpired) as expired:
            feed.after(number, None, 10, 0)
        earliest = int(expired.value.earliest)
        assert [event["subject"]["id"] for event in feed.after(earliest, None, 10, 0).items] == ["new"]
