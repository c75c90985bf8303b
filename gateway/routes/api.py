"""The addresses of the REST API and of the service's own checks."""

from __future__ import annotations

from gateway.controllers.customer_segments import CustomerSegmentController
from gateway.controllers.customers import CustomerController
from gateway.controllers.models import ModelController
from gateway.controllers.pictures import AnalysisController, PictureController
from gateway.controllers.predictions import PredictionController
from gateway.controllers.segments import SegmentController
from gateway.controllers.service import ServiceController
from gateway.controllers.trainings import TrainingController
from gateway.routes import Route

API = "/api/v1"


def customer_routes(customers: CustomerController, segments: CustomerSegmentController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that read and write customers."""
    return (
        ("POST", "/customers", customers.create),
        ("GET", "/customers", customers.list),
        ("GET", "/customers/<cust_id>", customers.get),
        ("PUT", "/customers/<cust_id>", customers.replace),
        ("PATCH", "/customers/<cust_id>", customers.patch),
        ("DELETE", "/customers/<cust_id>", customers.delete),
        ("GET", "/customers/<cust_id>/segment", segments.get),
        ("POST", "/customers/<cust_id>/segment", segments.rescore),
    )


def model_routes(predictions: PredictionController, segments: SegmentController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that ask the model."""
    return (
        ("POST", "/predictions", predictions.create),
        ("GET", "/segments", segments.list),
        ("GET", "/segments/<segment_id>", segments.get),
        ("PATCH", "/segments/<segment_id>", segments.label),
    )


def registry_routes(models: ModelController, trainings: TrainingController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that lead to the model's versions and trainings."""
    return (
        ("GET", "/models", models.list),
        ("POST", "/models", trainings.create),
        ("POST", "/models/rollback", models.roll_back),
        ("GET", "/models/<version:version>", models.get),
        ("GET", "/models/<version:version>/gate", models.gate),
        ("POST", "/models/<version:version>/activate", models.activate),
        ("GET", "/activations", models.activations),
        ("GET", "/trainings", trainings.list),
        ("GET", "/trainings/<name:training_id>", trainings.get),
        ("GET", "/trainings/<name:training_id>/log", trainings.log),
        ("POST", "/trainings/<name:training_id>/cancel", trainings.cancel),
    )


def picture_routes(pictures: PictureController, analyses: AnalysisController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that show what a version is and what it would do."""
    return (
        ("GET", "/models/<version:version>/report", pictures.report),
        ("GET", "/models/<version:version>/plots", pictures.plots),
        ("GET", "/models/<version:version>/plots/<name:name>.<any(svg,png):kind>", pictures.plot),
        ("GET", "/models/<version:version>/preview", analyses.preview),
        ("GET", "/models/<version:version>/drift", analyses.drift),
    )


def service_routes(service: ServiceController) -> tuple[Route, ...]:
    """Return the routes outside of the API."""
    return (
        ("GET", "/", service.index),
        ("GET", "/health/live", service.live),
        ("GET", "/health/ready", service.ready),
    )
