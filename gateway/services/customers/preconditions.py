"""What a caller expects of a customer beforehand: HTTP's conditional requests, as services see them."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from gateway.services.customers.customer import Customer
from gateway.services.errors import CustomerNotNew, RevisionRequired, StaleRevision

Revisions = Container[str]


class _EveryRevision:
    def __contains__(self, revision: object) -> bool:
        return True


EVERY_REVISION: Revisions = _EveryRevision()


@dataclass(frozen=True, slots=True)
class Precondition:
    """Which revisions a customer may have.

    Attributes
    ----------
    any_of : the stored customer must have one of these; None where it may have any, or not be there at all.
    none_of : if there is a customer, it must have none of these.
    weak : revisions that were named as well, but weakly: they satisfy nothing, and are a reason to be told.
    """

    any_of: Revisions | None = None
    none_of: Revisions | None = None
    weak: Revisions = ()

    @property
    def new(self) -> bool:
        """Whether there must be no customer yet, and nothing else matters."""
        return self.any_of is None and self.none_of is EVERY_REVISION

    def check(self, cust_id: str, stored: Customer | None, *, require_revision: bool = False) -> None:
        """Do nothing if all is as expected.

        Parameters
        ----------
        require_revision : whether changing a stored customer needs `any_of`.

        Raises
        ------
        StaleRevision, CustomerNotNew, RevisionRequired
        """
        if self.any_of is not None and (stored is None or stored["revision"] not in self.any_of):
            raise self._mismatch(cust_id, stored)
        if stored is None:
            return
        if self.none_of is not None and stored["revision"] in self.none_of:
            raise CustomerNotNew(cust_id)
        if require_revision and self.any_of is None:
            raise RevisionRequired(cust_id)

    def _mismatch(self, cust_id: str, stored: Customer | None) -> StaleRevision:
        if stored is None:
            return StaleRevision.of_nobody(cust_id)
        if stored["revision"] in self.weak:
            return StaleRevision.named_weakly(cust_id)
        return StaleRevision(cust_id) if self.any_of or self.weak else StaleRevision.unnamed(cust_id)


ANY_STATE = Precondition()
