"""Ids that come twice, at any distance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.customer_files import repeated_ids
from shared.customer_files.repeated_ids import RepeatedIds


def _plainly(batches: list[list[str]]) -> list[dict[int, int]]:
    seen: dict[str, int] = {}
    found, line = [], 1
    for ids in batches:
        repeated = {}
        for place, cust_id in enumerate(ids):
            line += 1
            if cust_id in seen:
                repeated[place] = seen[cust_id]
            else:
                seen[cust_id] = line
        found.append(repeated)
    return found


def _by_runs(batches: list[list[str]]) -> list[dict[int, int]]:
    ids, found, line = RepeatedIds(), [], 2
    for batch in batches:
        found.append(ids.note(batch, range(line, line + len(batch))))
        line += len(batch)
    return found


@given(st.lists(st.lists(st.sampled_from("ABCDEFGHIJ"), max_size=6), max_size=12))
def test_finds_what_a_dict_finds(batches: list[list[str]]) -> None:
    assert _by_runs(batches) == _plainly(batches)


def test_at_a_distance_of_many_runs() -> None:
    batches = [[f"C{n}" for n in range(first, first + 100)] for first in range(0, 5_000, 100)]
    batches += [["C0", "new", "C4999", "new"]]
    assert _by_runs(batches)[-1] == {0: 2, 2: 5001, 3: 5003}


def test_runs_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated_ids, "_LONGEST", 64)
    batches = [[f"C{n}" for n in range(first, first + 10)] for first in range(0, 1_000, 10)]
    ids = RepeatedIds()
    for number, batch in enumerate(batches):
        assert ids.note(batch, range(number * 10, number * 10 + 10)) == {}
    assert max(len(hashes) for hashes, _ in ids._runs) <= 64
    assert ids.note(["C7", "C999", "C1000"], [1, 2, 3]) == {0: 7, 1: 999}


def test_takes_twelve_bytes_a_row() -> None:
    ids = RepeatedIds()
    for first in range(0, 100_000, 5_000):
        ids.note([f"C{n}" for n in range(first, first + 5_000)], range(first, first + 5_000))
    sizes = [array.nbytes for run in ids._runs for array in run]
    assert sum(sizes) == 12 * 100_000
