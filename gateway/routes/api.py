"""The addresses of the REST API and of the service's own checks."""

from __future__ import annotations

from gateway.controllers.customers import CustomerController
from gateway.controllers.predictions import PredictionController
from gateway.controllers.segments import SegmentController
from gateway.controllers.service import ServiceController
from gateway.routes import Route

API = "/api/v1"


def customer_routes(customers: CustomerController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that read and write customers.

    ``path:`` lets a slash in the id reach the controller, whose answer says what an id may hold.
    """
    return (
        ("POST", "/customers", customers.create),
        ("GET", "/customers", customers.list),
        ("GET", "/customers/<path:cust_id>", customers.get),
        ("PUT", "/customers/<path:cust_id>", customers.replace),
        ("PATCH", "/customers/<path:cust_id>", customers.patch),
        ("DELETE", "/customers/<path:cust_id>", customers.delete),
    )


def model_routes(predictions: PredictionController, segments: SegmentController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that ask the model."""
    return (
        ("POST", "/predictions", predictions.create),
        ("GET", "/segments", segments.list),
        ("GET", "/segments/<segment_id>", segments.get),
    )


def service_routes(service: ServiceController) -> tuple[Route, ...]:
    """Return the routes outside of the API."""
    return (
        ("GET", "/", service.index),
        ("GET", "/health/live", service.live),
        ("GET", "/health/ready", service.ready),
    )
