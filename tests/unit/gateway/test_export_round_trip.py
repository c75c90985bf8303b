"""What an export writes, an import reads back as the very same customers."""

from __future__ import annotations

import pytest
from contracts.customers import assignment
from fakes.gateway import FakeGateway
from fakes.store import row_of
from hypothesis import given
from hypothesis import strategies as st
from support.customers import cust_ids, faultless, stored

from gateway.files.reader import CustomerFile
from gateway.files.writer import KINDS
from gateway.services.customers.customer import Customer
from gateway.services.customers.query import MEMBERS
from shared.features import CUST_ID, FEATURES

customers = st.lists(
    st.builds(
        lambda cust_id, features, segment: stored(cust_id, segment, **features),
        cust_ids | cust_ids.map(lambda cust_id: f"-{cust_id}"[:64]),
        faultless(),
        st.sampled_from([None, assignment(), assignment(rival=None)]),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda customer: customer[CUST_ID],
)


def _reimported(kind: str, written: list[Customer]) -> tuple[dict[str, dict], list[str]]:
    """Return what an import reads of an export of the customers, and the columns that it ignores."""
    columns = KINDS[kind].columns(MEMBERS)
    rows = [row_of(customer, KINDS[kind].paths(columns)) for customer in written]
    blocks = [block for block in (rows[:2], rows[2:]) if block]
    file = CustomerFile(KINDS[kind].media_type, KINDS[kind].write(blocks, columns))
    try:
        batches = list(file.batches())
        assert [fault for batch in batches for fault in batch.faults] == []
        return {cust_id: dict(f) for batch in batches for cust_id, f in batch.customers}, list(file.ignored_columns)
    finally:
        file.close()


# An import reads Parquet in a process of its own, which takes too long for this; `test_export_files` reads it back.
@pytest.mark.parametrize("kind", ["csv", "ndjson"])
@given(written=customers)
def test_every_value_reads_back_exactly(kind: str, written: list[Customer]) -> None:
    read, _ = _reimported(kind, written)
    assert read == {c[CUST_ID]: {f.name: c[f.name] for f in FEATURES} for c in written}
    types = {i: [type(value) for value in features.values()] for i, features in read.items()}
    assert types == {c[CUST_ID]: [type(c[f.name]) for f in FEATURES if f.name in c] for c in written}


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_service_adds_is_ignored_and_named(kind: str) -> None:
    _, ignored = _reimported(kind, [stored("A", assignment())])
    known = {CUST_ID, *(f.name for f in FEATURES)}
    assert sorted(ignored) == sorted(set(KINDS[kind].columns(MEMBERS)) - known)


@pytest.mark.parametrize("kind", KINDS)
def test_an_import_of_an_export_changes_nothing(kind: str) -> None:
    gateway = FakeGateway()
    names = ["-first", "A", "B", "null", "1e5"]
    gateway.store.insert_many([stored(name, assignment(), PURCHASES=i / 3) for i, name in enumerate(names)])
    before = {name: gateway.store.get(name) for name in names}
    file = gateway.client.get("/api/v1/exports/customers", query_string={"format": kind}).data
    media_type = KINDS[kind].media_type
    receipt = gateway.client.post("/api/v1/imports", data=file, content_type=media_type).json
    assert (receipt["unchanged"], receipt["rows"], receipt["rejected"]) == (5, 5, 0), receipt
    assert {name: gateway.store.get(name) for name in names} == before
