"""Customers that cannot be assigned as they are, so that nobody asks for them again and again.

There are two kinds. A customer that was stored before the data dictionary had a feature lacks what the model needs:
that is known up front from what the model service says of its model, so that nobody asks at all. And the model service
or the database may refuse a customer that was stored under other rules: that is remembered for this revision of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from gateway.services.customers.customer import Customer, StoredCustomer
from gateway.services.errors import SegmentationError
from gateway.services.models.model import ModelStatus
from shared.features import CUST_ID, REQUIRED_NAMES, lacking

log = logging.getLogger(__name__)

FORGET_SECONDS = 600.0
"""After so long, refused customers are tried once more: the rules of the model service may have changed."""

MOST_REFUSED = 10_000
"""Refusals that are remembered; beyond, it is not a matter of single customers, and the pass ends."""

REST = 20.0
"""How many times as long as the look for customers took it rests, where some of them cannot be assigned."""
SHORTEST_REST, LONGEST_REST = 1.0, 60.0
"""Seconds; a rest that would be shorter is not worth it."""


class Standstill:
    """What one worker knows of customers that it cannot assign; where there are none it does nothing.

    Parameters
    ----------
    digest : makes of a CUST_ID what stands for it in the log.

    Attributes
    ----------
    lacked : features that some of them lack; the store need not return such customers again.
    """

    def __init__(self, digest: Callable[[str], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._digest = digest
        self._clock = clock
        self._model: tuple[str, Sequence[str]] | None = None
        self._incomplete = 0
        self._refused: dict[str, str] = {}
        self._forget_at = 0.0
        self._began = self._rest_until = 0.0
        self.lacked: list[str] = []

    def begin(self, status: ModelStatus) -> bool:
        """Begin a pass with this model; return False where it is too early for one."""
        required = REQUIRED_NAMES if status.required is None else status.required
        self._began = self._clock()
        if self._model != (status.version, required):
            self._model, self.lacked, self._refused, self._rest_until = (status.version, required), [], {}, 0.0
        if self._began >= self._forget_at:
            self._refused, self._forget_at = {}, self._began + FORGET_SECONDS
        self._incomplete = 0
        return self._began >= self._rest_until

    def admit(self, due: Sequence[StoredCustomer]) -> list[StoredCustomer]:
        """Return those that can be assigned, as far as is known."""
        assert self._model is not None, "a pass has begun"
        admitted = []
        for customer in due:
            gaps = lacking(customer, self._model[1])
            if gaps:
                self._incomplete += 1
                self.lacked += [name for name in gaps if name not in self.lacked]
            elif self._refused.get(customer[CUST_ID]) != customer["revision"]:
                admitted.append(customer)
        return admitted

    def refuse(self, customer: Customer, error: SegmentationError) -> None:
        """Remember that this revision of a customer was refused.

        Raises
        ------
        SegmentationError
            the refusal itself, where there are too many of them.
        """
        if len(self._refused) >= MOST_REFUSED:
            raise error
        self._refused[customer[CUST_ID]] = customer["revision"]
        who = self._digest(customer[CUST_ID])
        log.error("customer %s cannot be assigned until its data are corrected: %s", who, error)

    def reason(self) -> str | None:
        """Return why some customers are not assigned; None where there are no such customers, as far as is known."""
        assert self._model is not None, "a pass has begun"
        said = []
        if self.lacked:
            said.append(
                f"Some customers lack {', '.join(self.lacked)}, which model {self._model[0]} needs: they are assigned "
                "when it has been added to them."
            )
        if self._refused:
            said.append(
                f"The model service or the database refused {len(self._refused):,} of the customers: they are assigned "
                "when their data have been corrected; the worker's log says which."
            )
        return " ".join(said) or None

    def end(self) -> None:
        """End the pass: say once who was left out, and rest in proportion to what looking for them costs."""
        assert self._model is not None, "a pass has begun"
        if self._incomplete:
            log.warning(
                "model %s needs %s, which %d customers lack that were stored before there was such a feature; "
                "they keep the segment that they have, if any, until it is added to them",
                self._model[0],
                ", ".join(self.lacked),
                self._incomplete,
            )
        if self.lacked or self._refused:
            now = self._clock()
            rest = REST * (now - self._began)
            self._rest_until = now + min(LONGEST_REST, rest) if rest >= SHORTEST_REST else 0.0
