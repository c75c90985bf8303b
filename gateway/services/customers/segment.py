"""The segment of one stored customer: what is stored, why it is so, and scoring it anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NotRequired, TypedDict

from gateway.services.customers.assignment import assignment_of
from gateway.services.customers.customer import (
    Customer,
    inputs_of,
    refuse_gaps,
    rescored_customer,
)
from gateway.services.customers.customers import CustomerService, make_room
from gateway.services.customers.store import MAX_ATTEMPTS, CustomerStore
from gateway.services.errors import Contended, CustomerNotFound, ModelRefused
from gateway.services.events.change import Cause, Origin
from gateway.services.events.log import Outboxes
from gateway.services.models.model import Model, PredictionOptions
from shared.contract import BORDERLINE, Explanation, Prediction, SegmentRef


class NamedSegment(TypedDict):
    """A segment with its name in the active model, as it was last known; null if that does not have it."""

    id: str
    name: str | None


class Explained(TypedDict):
    """Which prediction an explanation is about: a fresh one, which need not be the stored assignment."""

    segment: SegmentRef
    rival: SegmentRef | None
    model_version: str


class CustomerSegment(TypedDict):
    """A customer's stored assignment; everything of it is null while ``segment_status`` is pending.

    ``since`` and ``cause`` say since when it has been in the segment, and why; the latter is null where nobody knows.
    """

    CUST_ID: str
    segment: NamedSegment | None
    confidence: float | None
    borderline: bool | None
    rival: NamedSegment | None
    model_version: str | None
    assigned_at: datetime | None
    since: datetime | None
    cause: NotRequired[Cause | None]
    segment_status: str
    explanation: NotRequired[Explanation]
    explained: NotRequired[Explained]


class CustomerSegmentService:
    """Segments of single stored customers.

    Parameters
    ----------
    names : returns the names of the active model's segments by id, as far as they are known.
    deadline : seconds to wait for a prediction.
    """

    def __init__(
        self,
        customers: CustomerService,
        store: CustomerStore,
        model: Model,
        names: Callable[[], Mapping[str, str]],
        deadline: float,
        outboxes: Outboxes,
        origin: Callable[[], Origin],
    ) -> None:
        self._customers = customers
        self._store = store
        self._model = model
        self._names = names
        self._deadline = deadline
        self._outboxes = outboxes
        self._origin = origin

    def get(self, cust_id: str, *, explain: bool = False) -> CustomerSegment:
        """Return the stored assignment and, with `explain`, why the active model puts the customer where it does.

        Raises
        ------
        CustomerNotFound, StoreError; InvalidInput and ModelServiceError only with `explain`
        """
        customer = self._customers.get(cust_id)
        prediction = self._predict(customer, PredictionOptions(explain=True)) if explain else None
        return _explained(_view(customer, self._names()), prediction)

    def rescore(self, cust_id: str, *, explain: bool = False) -> CustomerSegment:
        """Score the customer by the active model now and store the result.

        Raises
        ------
        CustomerNotFound, InvalidInput, ModelServiceError, StoreError, Contended
        """
        for _ in range(MAX_ATTEMPTS):
            customer = self._store.get(cust_id)
            if customer is None:
                raise CustomerNotFound(cust_id)
            prediction = self._predict(customer, PredictionOptions(explain=explain))
            update = rescored_customer(customer, assignment_of(prediction), self._origin())
            make_room(self._outboxes, customer)
            if self._store.update(update):
                view = _view(update.customer, _names_in(prediction))
                return _explained(view, prediction) if explain else view
        raise Contended(cust_id)

    def _predict(self, customer: Customer, options: PredictionOptions) -> Prediction:
        features = inputs_of(customer)
        try:
            return self._model.predict(features, self._deadline, options)
        except ModelRefused:
            refuse_gaps(features)
            raise


def _names_in(prediction: Prediction) -> Mapping[str, str]:
    refs = (prediction["segment"], prediction["rival"])
    return {ref["id"]: ref["name"] for ref in refs if ref}


def _view(customer: Customer, names: Mapping[str, str]) -> CustomerSegment:
    segment = customer["segment"]
    return CustomerSegment(
        CUST_ID=customer["CUST_ID"],
        segment=_named(segment["id"], names) if segment else None,
        confidence=segment["confidence"] if segment else None,
        borderline=segment["confidence"] < BORDERLINE if segment else None,
        rival=_named(segment["rival"], names) if segment and segment["rival"] else None,
        model_version=segment["model_version"] if segment else None,
        assigned_at=segment["assigned_at"] if segment else None,
        since=segment["since"] if segment else None,
        cause=segment["cause"] if segment else None,
        segment_status=customer["segment_status"],
    )


def _named(segment_id: str, names: Mapping[str, str]) -> NamedSegment:
    return NamedSegment(id=segment_id, name=names.get(segment_id))


def _explained(view: CustomerSegment, prediction: Prediction | None) -> CustomerSegment:
    if prediction:
        view["explanation"] = prediction["explanation"]
        view["explained"] = Explained(
            segment=prediction["segment"], rival=prediction["rival"], model_version=prediction["model_version"]
        )
    return view
