"""The addresses of the REST API and of the service's own checks."""

from __future__ import annotations

from gateway.controllers.api_keys import ApiKeyController
from gateway.controllers.audit import AuditController
from gateway.controllers.customers import (
    BatchController,
    CustomerController,
    CustomerListController,
    CustomerSegmentController,
    DeletionController,
    ErasureController,
)
from gateway.controllers.exports import ExportController
from gateway.controllers.imports import ImportController
from gateway.controllers.models import AnalysisController, ModelController, PictureController, TrainingController
from gateway.controllers.predictions import PredictionController
from gateway.controllers.segments import SegmentController
from gateway.controllers.service import FILES, DocumentationController, ServiceController
from gateway.routes import Repeats, Route
from gateway.schemas.customer_queries import EXPORT, LIST
from gateway.schemas.customers import MODE
from gateway.schemas.paging import PAGE
from gateway.schemas.queries import ASKED, AUDIT, ERASE, EXPLAIN, FORMAT, IMPORT, TRAINING
from gateway.services.principal import Scope
from shared.features import CUST_ID

API = "/api/v1"

_ONCE = Repeats(again=False)
_SECRET = Repeats(again=False, kept=False)
_FILE = Repeats(again=False, upload=True)
_IMPORT = Repeats(kept=False, upload=True)


def customer_routes(
    customers: CustomerController, lists: CustomerListController, segments: CustomerSegmentController
) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that read and write customers."""
    return (
        Route("POST", "/customers", customers.create, Scope.CUSTOMERS_WRITE),
        Route("GET", "/customers", lists.list, Scope.CUSTOMERS_READ, LIST, judges_query=True),
        Route("GET", "/customers/<cust_id>", customers.get, Scope.CUSTOMERS_READ),
        Route("PUT", "/customers/<cust_id>", customers.replace, Scope.CUSTOMERS_WRITE),
        Route("PATCH", "/customers/<cust_id>", customers.patch, Scope.CUSTOMERS_WRITE),
        Route("DELETE", "/customers/<cust_id>", customers.delete, Scope.CUSTOMERS_WRITE, ERASE),
        Route("GET", "/customers/<cust_id>/segment", segments.get, Scope.CUSTOMERS_READ, EXPLAIN),
        Route("POST", "/customers/<cust_id>/segment", segments.rescore, Scope.CUSTOMERS_WRITE, EXPLAIN),
    )


def bulk_routes(batches: BatchController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that write many customers."""
    return (Route("POST", "/customers/batch", batches.write, Scope.CUSTOMERS_WRITE, MODE),)


def import_routes(imports: ImportController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that lead to imports."""
    return (
        Route("GET", "/imports", imports.list, Scope.CUSTOMERS_WRITE, PAGE),
        Route("GET", "/imports/<name:import_id>", imports.get, Scope.CUSTOMERS_WRITE),
        Route("GET", "/imports/<name:import_id>/errors", imports.errors, Scope.CUSTOMERS_WRITE),
        Route("POST", "/imports/<name:import_id>/cancel", imports.cancel, Scope.CUSTOMERS_WRITE),
    )


def file_routes(imports: ImportController, exports: ExportController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that take a file of customers in or hand one out."""
    return (
        Route("POST", "/imports", imports.create, Scope.CUSTOMERS_WRITE, IMPORT, _IMPORT),
        Route("GET", "/exports/customers", exports.customers, Scope.CUSTOMERS_READ, EXPORT, judges_query=True),
    )


def deletion_routes(deletions: DeletionController, erasures: ErasureController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 about customers that are no more."""
    return (
        Route("GET", "/deleted-customers", deletions.list, Scope.CUSTOMERS_READ, PAGE),
        Route("GET", "/deleted-customers/<cust_id>", deletions.get, Scope.CUSTOMERS_READ),
        Route("POST", "/customers/<cust_id>/restore", deletions.restore, Scope.CUSTOMERS_WRITE),
        Route("GET", "/erasures", erasures.list, Scope.CUSTOMERS_READ, (CUST_ID,)),
        Route("GET", "/erasures/<name:erasure_id>", erasures.get, Scope.CUSTOMERS_READ),
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
        Route("POST", "/models/rollback", models.roll_back, Scope.MODELS_MANAGE, repeats=_ONCE),
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
        Route("POST", "/models", trainings.create, Scope.MODELS_MANAGE, TRAINING, _FILE),
        Route("GET", "/models/<version:version>/preview", analyses.preview, Scope.MODELS_READ, FORMAT),
        Route("GET", "/models/<version:version>/drift", analyses.drift, Scope.MODELS_READ, FORMAT),
    )


def key_routes(keys: ApiKeyController) -> tuple[Route, ...]:
    """Return the routes below /api/v1 that say who may do what."""
    return (
        Route("POST", "/api-keys", keys.create, Scope.ADMIN, repeats=_SECRET),
        Route("GET", "/api-keys", keys.list, Scope.ADMIN, PAGE),
        Route("GET", "/api-keys/<name:key_id>", keys.get, Scope.ADMIN),
        Route("DELETE", "/api-keys/<name:key_id>", keys.revoke, Scope.ADMIN),
        Route("POST", "/api-keys/<name:key_id>/rotate", keys.rotate, Scope.ADMIN, repeats=_SECRET),
    )


def audit_routes(audit: AuditController) -> tuple[Route, ...]:
    """Return the route below /api/v1 that says who changed what."""
    return (Route("GET", "/audit", audit.list, Scope.ADMIN, AUDIT),)


def service_routes(service: ServiceController) -> tuple[Route, ...]:
    """Return the routes outside of the API."""
    return (
        Route("GET", "/", service.index, None),
        Route("GET", "/health/live", service.live, None),
        Route("GET", "/health/ready", service.ready, None),
    )


def documentation_routes(documentation: DocumentationController) -> tuple[Route, ...]:
    """Return the routes that say what there is."""
    files = ",".join(f"'{name}'" for name in FILES)
    return (
        Route("GET", "/openapi.json", documentation.document, None),
        Route("GET", "/docs", documentation.page, None),
        Route("GET", f"/docs/<any({files}):file>", documentation.file, None),
    )


def interface_routes(documentation: DocumentationController) -> tuple[Route, ...]:
    """Return the routes that pass on what the model service says of itself."""
    return (Route("GET", "/openapi/model-service.json", documentation.model_service, None),)
