"""The `Schema` port without a database; `contracts.schema` proves that it behaves as the one on MongoDB."""

from __future__ import annotations

from gateway.services.errors import StoreError

NEEDED, PUT_OFF = "customers.model_version", "customers.segment_by_BALANCE"
"""What the schema pretends to consist of."""


class InMemorySchema:
    """Two indexes that may be missing. Set `failure` to make every call raise it."""

    def __init__(self, *missing: str) -> None:
        self.lacking = list(missing)
        self.failure: StoreError | None = None

    def missing(self) -> list[str]:
        self._use()
        return list(self.lacking)

    def bring_up_to_date(self, *, put_off: bool = False) -> int:
        self._use()
        left = [name for name in self.lacking if put_off and name == PUT_OFF]
        made, self.lacking = len(self.lacking) - len(left), left
        return made

    def _use(self) -> None:
        if self.failure:
            raise self.failure
