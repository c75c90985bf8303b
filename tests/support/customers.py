"""Customers for tests: one plain example, and hypothesis strategies derived from the data dictionary."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from gateway.services.customers.customer import Placement, StoredCustomer, Update, new_customer
from gateway.services.customers.preconditions import Precondition
from gateway.services.events.change import Entry, Origin
from gateway.services.principal import COMMAND_LINE
from shared.features import CUST_ID, INPUTS, Feature, complete


def inputs(**changes: Any) -> dict[str, Any]:
    """Return faultless input features of one customer, nothing odd about them, with `changes` made."""
    plain = {f.name: _example(f) for f in INPUTS}
    return plain | {"PURCHASES": 2 * plain["ONEOFF_PURCHASES"], **changes}


def _example(feature: Feature) -> float | int:
    if feature.whole:
        return 12
    return 0.5 if feature.maximum <= 2 else 100.0


def body(cust_id: str = "C1", **changes: Any) -> dict[str, Any]:
    """Return what a client sends to create the customer."""
    return {CUST_ID: cust_id, **inputs(**changes)}


ORIGIN = Origin(COMMAND_LINE, "request-1", "192.0.2.1")
"""Where the changes of a test come from."""


def stored(cust_id: str, assignment: Placement | None = None, **changes: Any) -> StoredCustomer:
    """Return a customer as a store keeps it, of whom nothing waits to be told."""
    customer = new_customer(cust_id, complete(inputs(**changes)), assignment, ORIGIN, "import")
    customer.pop("due", None)
    return customer


def origin() -> Origin:
    """Return `ORIGIN`, as services ask for it."""
    return ORIGIN


def becoming(old: StoredCustomer, new: Mapping[str, Any], entry: Entry | None = None) -> Update:
    """Return the update that makes of a stored customer what `new` has, all but its CUST_ID."""
    return Update(old, {name: value for name, value in new.items() if name != CUST_ID}, entry)


def knowing(*revisions: str) -> Precondition:
    """Return what a caller expects who knows these revisions."""
    return Precondition(any_of=set(revisions))


def good_values(feature: Feature) -> st.SearchStrategy[float | int]:
    """Generate values that break no hard rule, bounds included; whole numbers also written as floats."""
    low, high = feature.minimum, feature.maximum
    if feature.whole:
        whole = st.integers(int(low), int(high))
        return whole | whole.map(float)
    numbers = st.floats(low, high, exclude_min=feature.exclusive_minimum)
    return numbers | st.integers(math.floor(low) + feature.exclusive_minimum, math.floor(high))


def nullable_values(feature: Feature) -> st.SearchStrategy[float | int | None]:
    """Generate values that break no hard rule, null among them where the feature allows it."""
    return st.none() | good_values(feature) if feature.nullable else good_values(feature)


def faultless(features: Sequence[Feature] = INPUTS) -> st.SearchStrategy[dict[str, Any]]:
    """Generate the faultless features of one customer."""
    return st.fixed_dictionaries({f.name: nullable_values(f) for f in features})


def any_numbers() -> st.SearchStrategy[float | int | None]:
    """Generate nulls and numbers, most of which break some rule of some feature."""
    edges = st.sampled_from([0.0, -0.0, 0.5, 1.0, 1.5, 2.0, 2.1, 12.0, 13.0, 1e6, 1e6 + 1, 1e12, 1.1e12, -1.0])
    return st.none() | edges | st.floats() | st.integers(-(2**53), 2**53)


cust_ids = st.from_regex(r"\A[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}\Z")
