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
from gateway.schemas.paging import PAGE
from gateway.schemas.queries import ASKED, EXPLAIN, FORMAT, TRAINING

API = "/api/v1"


def customer_routes(customers: CustomerController, segments: CustomerSegmentController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that read and write customers."""
    return (
        Route("POST", "/customers", customers.create),
        Route("GET", "/customers", customers.list, PAGE),
        Route("GET", "/customers/<cust_id>", customers.get),
        Route("PUT", "/customers/<cust_id>", customers.replace),
        Route("PATCH", "/customers/<cust_id>", customers.patch),
        Route("DELETE", "/customers/<cust_id>", customers.delete),
        Route("GET", "/customers/<cust_id>/segment", segments.get, EXPLAIN),
        Route("POST", "/customers/<cust_id>/segment", segments.rescore, EXPLAIN),
    )


def model_routes(predictions: PredictionController, segments: SegmentController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that ask the model."""
    return (
        Route("POST", "/predictions", predictions.create, ASKED),
        Route("GET", "/segments", segments.list),
        Route("GET", "/segments/<segment_id>", segments.get),
        Route("PATCH", "/segments/<segment_id>", segments.label),
    )


def registry_routes(models: ModelController, trainings: TrainingController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that lead to the model's versions and trainings."""
    return (
        Route("GET", "/models", models.list),
        Route("POST", "/models/rollback", models.roll_back),
        Route("GET", "/models/<version:version>", models.get),
        Route("GET", "/models/<version:version>/gate", models.gate),
        Route("POST", "/models/<version:version>/activate", models.activate),
        Route("GET", "/activations", models.activations),
        Route("GET", "/trainings", trainings.list),
        Route("GET", "/trainings/<name:training_id>", trainings.get),
        Route("GET", "/trainings/<name:training_id>/log", trainings.log),
        Route("POST", "/trainings/<name:training_id>/cancel", trainings.cancel),
    )


def picture_routes(pictures: PictureController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that show what a version is."""
    return (
        Route("GET", "/models/<version:version>/report", pictures.report),
        Route("GET", "/models/<version:version>/plots", pictures.plots),
        Route("GET", "/models/<version:version>/plots/<name:name>.<any(svg,png):kind>", pictures.plot),
    )


def long_routes(trainings: TrainingController, analyses: AnalysisController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that go over a whole file or all stored customers."""
    return (
        Route("POST", "/models", trainings.create, TRAINING),
        Route("GET", "/models/<version:version>/preview", analyses.preview, FORMAT),
        Route("GET", "/models/<version:version>/drift", analyses.drift, FORMAT),
    )


def service_routes(service: ServiceController) -> tuple[Route, ...]:
    """Return the routes outside of the API."""
    return (
        Route("GET", "/", service.index),
        Route("GET", "/health/live", service.live),
        Route("GET", "/health/ready", service.ready),
    )
