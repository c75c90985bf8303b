"""The versions of the model: what they are, which is in force, whether they still fit."""

from __future__ import annotations

from gateway.openapi.headers import ETAG, IF_NONE_MATCH
from gateway.openapi.operation import BINARY, TEXT, Answer, Body, Link, Operation, Resource
from gateway.openapi.orders import ACTIVATE, ROLLBACK
from gateway.openapi.problems import MODEL, STORE
from gateway.services.models.registry import Activations, Plots
from shared.model_contract import Activation, Drift, Gate, ModelList, Preview
from shared.model_description import ModelDescription

_MODELS = "/api/v1/models"
_VERSION = f"{_MODELS}/{{version}}"
_ONE = ("version_not_found", "artefact_damaged", *MODEL)
_SWITCH = (*_ONE, "malformed_json", "bad_request", "body_too_large", "unsupported_media_type", "store_not_writable")
_ANALYSIS = (*_ONE, "no_evidence", "incompatible_model", "labels_differ", "analysis_busy", *STORE)
_PICTURES = {"image/svg+xml": TEXT, "image/png": BINARY}
_SAME = Answer("The copy at hand is still the right one", headers=(ETAG,))

MODELS = Resource(
    "Models",
    "Versions of the model: what is known of each, which is in force, and whether it still fits the customers.",
    {
        f"GET {_MODELS}": Operation(
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
        ),
        f"GET {_VERSION}": Operation(
            "getModel",
            "Read everything about a version",
            "Its segments, its data, and the evidence for its number of segments.",
            {200: Answer("The version", ModelDescription)},
            problems=(*_ONE, "labels_damaged"),
        ),
        f"GET {_VERSION}/gate": Operation(
            "getGate",
            "Say whether a version may replace the active one",
            "",
            {200: Answer("Every check and how it came out", Gate)},
            problems=_ONE,
        ),
        f"GET {_VERSION}/preview": Operation(
            "previewModel",
            "Say which customers move if the version is put in force",
            "Goes over all stored customers.",
            {200: Answer("Who moves, and with how much money", Preview, others=_PICTURES)},
            problems=_ANALYSIS,
        ),
        f"GET {_VERSION}/drift": Operation(
            "getDrift",
            "Say whether the stored customers are still those that the version was trained on",
            "Goes over all stored customers.",
            {200: Answer("The verdict, and how far each feature has moved", Drift, others=_PICTURES)},
            problems=_ANALYSIS,
        ),
        f"POST {_VERSION}/activate": Operation(
            "activateModel",
            "Put a version in force",
            "The gate refuses one that is worse than the active one, unless forced with a reason. Every process of "
            "every replica follows within seconds; the worker then scores all customers anew.",
            {200: Answer("The activation", Activation)},
            Body(ACTIVATE, required=False),
            (*_SWITCH, "gate_refused", "incompatible_model", "labels_differ"),
        ),
        f"POST {_MODELS}/rollback": Operation(
            "rollBackModel",
            "Put the version in force again that was so before",
            "A second time, the one before that.",
            {200: Answer("The activation", Activation)},
            Body(ROLLBACK, required=False),
            (*_SWITCH, "nothing_to_roll_back"),
        ),
        "GET /api/v1/activations": Operation(
            "listActivations",
            "List who put which version in force, when and why",
            "Newest first.",
            {200: Answer("All activations and rollbacks", Activations)},
            problems=("artefact_damaged", *MODEL),
        ),
        f"GET {_VERSION}/report": Operation(
            "getReport",
            "Show the report of a version",
            "One page that holds all it shows, to be filed or printed.",
            {
                200: Answer("The report", TEXT, ("text/html",), headers=(ETAG,)),
                304: _SAME,
            },
            problems=(*_ONE, "report_not_found"),
            headers=(IF_NONE_MATCH,),
        ),
        f"GET {_VERSION}/plots": Operation(
            "listPlots",
            "List the pictures of a version",
            "",
            {200: Answer("Their titles and addresses", Plots)},
            problems=(*_ONE, "report_not_found"),
        ),
        f"GET {_VERSION}/plots/{{name}}.{{kind}}": Operation(
            "getPlot",
            "Show a picture of a version",
            "",
            {
                200: Answer("The picture", others=_PICTURES, headers=(ETAG,)),
                304: _SAME,
            },
            problems=(*_ONE, "plot_not_found"),
            headers=(IF_NONE_MATCH,),
        ),
    },
)
