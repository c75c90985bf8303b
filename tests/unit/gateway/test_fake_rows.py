"""The fake store's rows keep the contract that those on MongoDB keep."""

from __future__ import annotations

from contracts.rows import CustomerRowsContract


class TestRowsInMemory(CustomerRowsContract):
    """The fixture `store` is that of conftest.py."""
