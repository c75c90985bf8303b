"""What if: the segment of a customer that somebody makes up, beginning with a typical one or one that is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flask import Response

from gateway.controllers.http import caller, query
from gateway.pages.rendering import page
from gateway.schemas.queries import CUST_ID_SCHEMA, Parameter, text
from gateway.services.customers.customers import CustomerService
from gateway.services.errors import CustomerNotFound, SegmentationError
from gateway.services.models.descriptions import Description, ModelDescriptions
from gateway.services.principal import Scope
from shared.features import INPUTS, Feature, Kind, cust_id_fault
from shared.model_description import DescribedSegment

GROUPS: Final[Mapping[Kind, str]] = {
    Kind.AMOUNT: "Amounts",
    Kind.COUNT: "How many times in 12 months",
    Kind.FREQUENCY: "In how many of the months",
    Kind.MONTHS: "Time as a customer",
}
"""What the fields of a kind are headed by."""


CUSTOMER: Final = Parameter("customer", str.strip, "Begin with what is stored of this customer", CUST_ID_SCHEMA)
START: Final = text("start", "Begin with a typical customer of this segment", {"maxLength": 64})


class WhatIfController:
    """The form; answers come from the API while one types (`static/what_if.js`)."""

    PARAMETERS: Final = (CUSTOMER, START)

    def __init__(self, customers: CustomerService, descriptions: ModelDescriptions) -> None:
        self._customers = customers
        self._descriptions = descriptions

    def form(self) -> Response:
        """GET /what-if."""
        asked, trouble, customer = query(), None, None
        segments = self._segments()
        begin = _chosen(segments, asked.get("start"))
        values = begin["typical"][0]["values"] if begin else _NOTHING
        if cust_id := asked.get("customer"):
            customer, trouble = self._stored(cust_id)
        return page(
            "what_if.html",
            404 if trouble else 200,
            groups=_groups(customer or values),
            customer=customer,
            asked_for=cust_id or "",
            segments=segments,
            begin=None if customer else begin,
            trouble=trouble,
        )

    def _segments(self) -> Sequence[DescribedSegment]:
        """Return the segments of which a typical customer is known, the largest first."""
        if not caller().may(Scope.MODELS_READ):
            return ()
        try:
            known = self._descriptions.last_known()
        except SegmentationError:  # the page works without; what is wrong, the answer says
            return ()
        return _with_typical(known)

    def _stored(self, cust_id: str) -> tuple[Mapping[str, Any] | None, str | None]:
        if not caller().may(Scope.CUSTOMERS_READ):
            return None, "Your key does not show stored customers."
        if wrong := cust_id_fault(cust_id):
            return None, f"The id of a customer {wrong}."
        try:
            return self._customers.get(cust_id), None
        except CustomerNotFound:
            return None, f"No customer {cust_id} is stored."


_NOTHING: Final[Mapping[str, Any]] = {
    feature.name: feature.maximum if feature.kind is Kind.MONTHS else feature.minimum
    for feature in INPUTS
    if not feature.nullable
}
"""A customer who has done nothing, for whom there is no better beginning."""


def _with_typical(known: Description | None) -> Sequence[DescribedSegment]:
    found = [segment for segment in known.segments if segment.get("typical")] if known else []
    return sorted(found, key=lambda segment: -segment["size"])


def _chosen(segments: Sequence[DescribedSegment], wanted: str | None) -> DescribedSegment | None:
    return next((segment for segment in segments if segment["id"] == wanted), segments[0] if segments else None)


def _groups(values: Mapping[str, Any]) -> list[tuple[str, list[tuple[Feature, str]]]]:
    """Return the fields by group, each with what stands in it at first."""
    fields = {kind: [(each, _written(each, values)) for each in INPUTS if each.kind is kind] for kind in GROUPS}
    return [(GROUPS[kind], fields[kind]) for kind in GROUPS if fields[kind]]


def _written(feature: Feature, values: Mapping[str, Any]) -> str:
    """Return a value as the field has it: shares in percent, and nothing where it is missing."""
    value = values.get(feature.name)
    if value is None:
        return ""
    if feature.kind is Kind.FREQUENCY:
        return f"{value * 100:.4f}".rstrip("0").rstrip(".")
    return f"{value:.0f}" if feature.whole else f"{value:.2f}".rstrip("0").rstrip(".")
