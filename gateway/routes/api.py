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
from gateway.services.access import Scope

API = "/api/v1"


def customer_routes(customers: CustomerController, segments: CustomerSegmentController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that read and write customers."""
    return (
        Route("POST", "/customers", customers.create, Scope.CUSTOMERS_WRITE),
        Route("GET", "/customers", customers.list, Scope.CUSTOMERS_READ, PAGE),
        Route("GET", "/customers/<cust_id>", customers.get, Scope.CUSTOMERS_READ),
        Route("PUT", "/customers/<cust_id>", customers.replace, Scope.CUSTOMERS_WRITE),
        Route("PATCH", "/customers/<cust_id>", customers.patch, Scope.CUSTOMERS_WRITE),
        Route("DELETE", "/customers/<cust_id>", customers.delete, Scope.CUSTOMERS_WRITE),
        Route("GET", "/customers/<cust_id>/segment", segments.get, Scope.CUSTOMERS_READ, EXPLAIN),
        Route("POST", "/customers/<cust_id>/segment", segments.rescore, Scope.CUSTOMERS_WRITE, EXPLAIN),
    )


def model_routes(predictions: PredictionController, segments: SegmentController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that ask the model."""
    return (
        Route("POST", "/predictions", predictions.create, Scope.PREDICTIONS, ASKED),
        Route("GET", "/segments", segments.list, Scope.MODELS_READ),
        Route("GET", "/segments/<segment_id>", segments.get, Scope.MODELS_READ),
        Route("PATCH", "/segments/<segment_id>", segments.label, Scope.MODELS_MANAGE),
    )


def registry_routes(models: ModelController, trainings: TrainingController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that lead to the model's versions and trainings."""
    return (
        Route("GET", "/models", models.list, Scope.MODELS_READ),
        Route("POST", "/models/rollback", models.roll_back, Scope.MODELS_MANAGE),
        Route("GET", "/models/<version:version>", models.get, Scope.MODELS_READ),
        Route("GET", "/models/<version:version>/gate", models.gate, Scope.MODELS_READ),
        Route("POST", "/models/<version:version>/activate", models.activate, Scope.MODELS_MANAGE),
        Route("GET", "/activations", models.activations, Scope.MODELS_READ),
        Route("GET", "/trainings", trainings.list, Scope.MODELS_READ),
        Route("GET", "/trainings/<name:training_id>", trainings.get, Scope.MODELS_READ),
        Route("GET", "/trainings/<name:training_id>/log", trainings.log, Scope.MODELS_READ),
        Route("POST", "/trainings/<name:training_id>/cancel", trainings.cancel, Scope.MODELS_MANAGE),
    )


def picture_routes(pictures: PictureController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that show what a version is."""
    plots = "/models/<version:version>/plots"
    return (
        Route("GET", "/models/<version:version>/report", pictures.report, Scope.MODELS_READ),
        Route("GET", plots, pictures.plots, Scope.MODELS_READ),
        Route("GET", f"{plots}/<name:name>.<any(svg,png):kind>", pictures.plot, Scope.MODELS_READ),
    )


def long_routes(trainings: TrainingController, analyses: AnalysisController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that go over a whole file or all stored customers."""
    return (
        Route("POST", "/models", trainings.create, Scope.MODELS_MANAGE, TRAINING),
        Route("GET", "/models/<version:version>/preview", analyses.preview, Scope.MODELS_READ, FORMAT),
        Route("GET", "/models/<version:version>/drift", analyses.drift, Scope.MODELS_READ, FORMAT),
    )


def service_routes(service: ServiceController) -> tuple[Route, ...]:
    """Return the routes outside of the API."""
    return (
        Route("GET", "/", service.index, None),
        Route("GET", "/health/live", service.live, None),
        Route("GET", "/health/ready", service.ready, None),
    )
