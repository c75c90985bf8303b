"""The versions of the model: what they are, which is active, whether they still fit, and trainings of new ones."""

from __future__ import annotations

from gateway.controllers.models import AnalysisController, ModelController, PlotController, TrainingController
from gateway.routes import ONCE, Repeats, Resource, Route, Work
from gateway.routes.operation import BINARY, MODEL, STORE, TEXT, UNCHANGED, Answer, Body, Link, Operation
from gateway.schemas.queries import EDITION, FORMAT, TRAINING
from gateway.services.models.registry import Activations, Plots, Trainings
from gateway.services.principal import Scope
from shared.features import CUST_ID, INPUTS
from shared.model_contract import CSV, PARQUET, Activation, Drift, Gate, ModelList, Preview, Training
from shared.model_description import ModelDescription

_READ, _MANAGE = Scope.MODELS_READ, Scope.MODELS_MANAGE
_VERSION = "/models/<version:version>"
_TRAINING = "/trainings/<name:training_id>"

_VERSION_PROBLEMS = ("version_not_found", "artefact_damaged", "signature_refused", *MODEL)
_ACTIVATION_PROBLEMS = (
    *_VERSION_PROBLEMS,
    "malformed_json",
    "bad_request",
    "body_too_large",
    "unsupported_media_type",
    "store_not_writable",
)
_ANALYSIS_PROBLEMS = (*_VERSION_PROBLEMS, "no_evidence", "incompatible_model", "labels_differ", "analysis_busy", *STORE)
_UPLOAD_PROBLEMS = ("training_running", "request_timeout", "length_required", "store_not_writable", "analysis_busy")
_PICTURES = {"image/svg+xml": TEXT, "image/png": BINARY}
_TRAINING_LINK = {"training_id": "$response.body#/id"}


_LIST_MODELS = Operation(
    "listModels",
    "List the versions, newest first",
    "",
    {
        200: Answer(
            "All versions",
            ModelList,
            links={"read": Link("getModel", {"version": "$response.body#/items/0/version"})},
        )
    },
    problems=MODEL,
)
_GET_MODEL = Operation(
    "getModel",
    "Get a model version",
    "Its segments, its data, and the evidence for its number of segments.",
    {200: Answer("The version", ModelDescription)},
    problems=(*_VERSION_PROBLEMS, "labels_damaged"),
)
_GET_GATE = Operation(
    "getGate",
    "Check whether a version may be activated",
    "",
    {200: Answer("Whether it may replace the active version, and the result of every check", Gate)},
    problems=_VERSION_PROBLEMS,
)
_PREVIEW_MODEL = Operation(
    "previewModel",
    "Preview which customers would change segment",
    "Goes over all stored customers.",
    {200: Answer("Who would move between segments, and how much money they represent", Preview, others=_PICTURES)},
    problems=_ANALYSIS_PROBLEMS,
)
_GET_DRIFT = Operation(
    "getDrift",
    "Measure drift against a version's training data",
    "Goes over all stored customers.",
    {200: Answer("The verdict, and how far each feature has drifted", Drift, others=_PICTURES)},
    problems=_ANALYSIS_PROBLEMS,
)
_ACTIVATE_MODEL = Operation(
    "activateModel",
    "Activate a version",
    "The gate refuses one that is worse than the active one, unless forced with a reason. Every process "
    "of every replica follows within seconds; the worker then scores all customers anew.",
    {200: Answer("The activation", Activation)},
    Body("ActivationOrder", required=False),
    (*_ACTIVATION_PROBLEMS, "gate_refused", "incompatible_model", "labels_differ"),
)
_ROLL_BACK_MODEL = Operation(
    "rollBackModel",
    "Roll back to the previously active version",
    "A second rollback goes back one version further.",
    {200: Answer("The activation", Activation)},
    Body("Rollback", required=False),
    (*_ACTIVATION_PROBLEMS, "nothing_to_roll_back"),
)
_LIST_ACTIVATIONS = Operation(
    "listActivations",
    "List the activations and rollbacks",
    "Newest first.",
    {200: Answer("All of them, with who, when and why", Activations)},
    problems=("artefact_damaged", "signature_refused", *MODEL),
)
_GET_REPORT = Operation(
    "getReport",
    "Get the report of a version",
    "A single self-contained page, to be filed or printed. Segments are called what people call them now, and amounts "
    "are in the currency of the bank (`CURRENCY`).",
    {200: Answer("The report", TEXT, ("text/html",), headers=("ETag",)), 304: UNCHANGED},
    problems=(*_VERSION_PROBLEMS, "report_not_found", "analysis_busy"),
    headers=("If-None-Match",),
)
_LIST_PLOTS = Operation(
    "listPlots",
    "List the plots of a version",
    "",
    {200: Answer("Their titles and addresses", Plots)},
    problems=(*_VERSION_PROBLEMS, "report_not_found"),
)
_GET_PLOT = Operation(
    "getPlot",
    "Get a plot of a version",
    "Segments are called what people call them now.",
    {200: Answer("The plot", others=_PICTURES, headers=("ETag",)), 304: UNCHANGED},
    problems=(*_VERSION_PROBLEMS, "plot_not_found", "analysis_busy"),
    headers=("If-None-Match",),
)
_TRAIN_MODEL = Operation(
    "trainModel",
    "Train a new version",
    "On the stored customers, or on the file in the body. The new version waits until it is "
    "activated, unless `activate=true` and the gate lets it pass.",
    {
        202: Answer(
            "The training has started",
            Training,
            headers=("Location",),
            links={
                "read": Link("getTraining", _TRAINING_LINK),
                "log": Link("getTrainingLog", _TRAINING_LINK),
                "cancel": Link("cancelTraining", _TRAINING_LINK),
            },
        )
    },
    Body(
        BINARY,
        f"The columns {', '.join(f.name for f in INPUTS)}, and {CUST_ID} if there are ids",
        (PARQUET, CSV),
        required=False,
    ),
    (*_UPLOAD_PROBLEMS, *MODEL, *STORE),
)
_LIST_TRAININGS = Operation(
    "listTrainings",
    "List the latest trainings",
    "Newest first.",
    {200: Answer("The latest trainings", Trainings)},
    problems=MODEL,
)
_GET_TRAINING = Operation(
    "getTraining",
    "Get the progress or the result of a training",
    "",
    {200: Answer("The training", Training)},
    problems=("training_not_found", *MODEL),
)
_GET_TRAINING_LOG = Operation(
    "getTrainingLog",
    "Get the log of a training",
    "",
    {200: Answer("The log", TEXT, ("text/plain",))},
    problems=("training_not_found", *MODEL),
)
_CANCEL_TRAINING = Operation(
    "cancelTraining",
    "Cancel a training",
    "It stops within about a second.",
    {202: Answer("The training, which is stopping", Training)},
    problems=("training_not_found", "training_ended", *MODEL),
)


def models(controller: ModelController, plots: PlotController, analyses: AnalysisController) -> Resource:
    """Return the routes to the model's versions."""
    return Resource(
        "Models",
        "Versions of the model: their evidence, which one is active, and whether it still fits the customers.",
        (
            Route("GET", "/models", controller.list, _READ, _LIST_MODELS, work=Work.MODEL),
            Route("GET", _VERSION, controller.get, _READ, _GET_MODEL, work=Work.MODEL),
            Route("GET", f"{_VERSION}/gate", controller.gate, _READ, _GET_GATE, work=Work.MODEL),
            Route("GET", f"{_VERSION}/preview", analyses.preview, _READ, _PREVIEW_MODEL, (FORMAT,), Work.LONG),
            Route("GET", f"{_VERSION}/drift", analyses.drift, _READ, _GET_DRIFT, (FORMAT,), Work.LONG),
            Route("POST", f"{_VERSION}/activate", controller.activate, _MANAGE, _ACTIVATE_MODEL, work=Work.BOTH),
            Route(
                "POST",
                "/models/rollback",
                controller.roll_back,
                _MANAGE,
                _ROLL_BACK_MODEL,
                work=Work.BOTH,
                repeats=ONCE,
            ),
            Route("GET", "/activations", controller.activations, _READ, _LIST_ACTIVATIONS, work=Work.MODEL),
            Route("GET", f"{_VERSION}/report", plots.report, _READ, _GET_REPORT, (EDITION,), Work.MODEL),
            Route("GET", f"{_VERSION}/plots", plots.plots, _READ, _LIST_PLOTS, work=Work.MODEL),
            Route(
                "GET",
                f"{_VERSION}/plots/<name:name>.<any(svg,png):kind>",
                plots.plot,
                _READ,
                _GET_PLOT,
                work=Work.MODEL,
            ),
        ),
    )


def trainings(controller: TrainingController) -> Resource:
    """Return the routes to trainings."""
    return Resource(
        "Trainings",
        "Background jobs, one at a time, that train a new version of the model.",
        (
            Route(
                "POST",
                "/models",
                controller.create,
                _MANAGE,
                _TRAIN_MODEL,
                TRAINING,
                Work.LONG,
                Repeats(again=False, upload=True),
            ),
            Route("GET", "/trainings", controller.list, _READ, _LIST_TRAININGS, work=Work.MODEL),
            Route("GET", _TRAINING, controller.get, _READ, _GET_TRAINING, work=Work.MODEL),
            Route("GET", f"{_TRAINING}/log", controller.log, _READ, _GET_TRAINING_LOG, work=Work.MODEL),
            Route("POST", f"{_TRAINING}/cancel", controller.cancel, _MANAGE, _CANCEL_TRAINING, work=Work.BOTH),
        ),
    )
