"""The predictions resource: segments of customers that are not stored."""

from __future__ import annotations

from typing import Any

from flask import Response, g

from gateway.controllers.http import json_response, load, query, read_json
from gateway.schemas.customers import customer_schema
from gateway.services.customers.customer import Features
from gateway.services.errors import InvalidInput
from gateway.services.models.model import PredictionOptions
from gateway.services.models.predictions import PredictionService
from shared.contract import MAX_BATCH, RowError
from shared.features import CUST_ID
from shared.problems import FieldError, problem

_customer = customer_schema(id_required=False)


class PredictionController:
    """Predict for one customer or for many."""

    def __init__(self, predictions: PredictionService) -> None:
        self._predictions = predictions

    def create(self) -> Response:
        """POST /predictions."""
        options = PredictionOptions(query()["explain"], query().get("version"))
        body = read_json()
        if isinstance(body, dict) and "customers" in body:
            return json_response({"predictions": self._predictions.predict_batch(_rows(body), options)})
        return json_response(self._predictions.predict(_features(body), options))


def _features(body: Any, prefix: str = "") -> dict[str, Any]:
    sent = load(_customer, body, prefix)
    sent.pop(CUST_ID, None)  # allowed, so that a stored customer's JSON can be sent as it is; not used
    return sent


def _rows(body: dict[str, Any]) -> list[Features | RowError]:
    customers = body["customers"]
    if len(body) > 1 or not isinstance(customers, list) or not 1 <= len(customers) <= MAX_BATCH:
        detail = f"must be an array of 1 to {MAX_BATCH} customers, alone in the body"
        raise InvalidInput([FieldError(pointer="/customers", detail=detail)])
    return [_row(place, customer) for place, customer in enumerate(customers)]


def _row(place: int, customer: Any) -> Features | RowError:
    try:
        return _features(customer, f"/customers/{place}")
    except InvalidInput as error:
        return {"error": problem(422, "validation_failed", str(error), g.request_id, error.errors)}
