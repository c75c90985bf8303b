"""Which errors there are, what each means, and how an operation says that it can give them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gateway.middleware.errors import STATUSES
from gateway.openapi import headers
from gateway.routes.operation import STORE
from shared.model_contract import REFUSALS
from shared.problems import MEDIA_TYPE, code_of

ALWAYS = ("bad_request", "validation_failed", "internal_error")
COUNTED = ("rate_limited",)
"""What everything but a health check can give."""
SCOPED = ("unauthenticated", "insufficient_scope", "issuer_unavailable", "issuer_misconfigured", *STORE)
"""What whatever needs a key can give: keys lie in the database."""
IN_SESSIONS = "csrf_token_wrong"
"""What a change of somebody who has signed in at a browser can give."""
REPEATED = (
    "idempotency_key_reused",
    "idempotency_in_progress",
    "idempotency_outcome_unknown",
    "idempotency_answer_not_kept",
)
"""What whatever heeds an Idempotency-Key can give."""
PAGES_BUSY = "clients_slow"
"""What the pages that need no key can give; it has kept the name of what it was first for."""
BODY_READ = ("body_too_large",)
WITH_BODY = (*BODY_READ, "unsupported_media_type")
NO_SUCH_ADDRESS = "not_found"
MALFORMED = "malformed_json"


class Known(NamedTuple):
    """A problem's status and meaning."""

    status: int
    text: str


_REFUSALS = {
    "version_not_found": "No version has this name, or none is active",
    "training_not_found": "No training with this id is on record",
    "report_not_found": "The version was stored without a report",
    "plot_not_found": "The version has no such plot",
    "request_timeout": "The client sent nothing for too long",
    "artefact_damaged": "The files of the version, or the record of activations, are damaged",
    "signature_refused": "The version, or the record of activations, is not signed with the model service's key",
    "incompatible_model": "The version was trained on features that the data dictionary does not have any more",
    "labels_differ": "The compiled scorer does not reproduce the labels of the version's training",
    "no_evidence": "The version was stored without the data that this needs",
    "gate_refused": "The version does not pass the gate; errors lists each failed check",
    "nothing_to_roll_back": "No version was active before this one, or it can no longer serve",
    "name_taken": "Another segment already has this name",
    "label_changed": "Somebody has changed the label of the segment since `if_labelled_at`",
    "labels_damaged": "The stored names of segments cannot be read",
    "training_running": "A training is already running; the detail has its id",
    "training_ended": "The training has already ended",
    "store_not_writable": "The model store cannot be written: its disk is full or read-only",
}
"""Meanings of what the model service refuses (`shared.model_contract.REFUSALS`)."""

_PLAIN = {
    400: "The request is incomplete, or is not valid HTTP",
    404: "There is nothing at this address",
    405: "The address does not support this method; Allow lists those it does",
    406: "None of the media types in Accept is available here",
    411: "The body needs a Content-Length",
    413: "The body is larger than this address accepts",
    414: "The query string is too long",
    415: "The Content-Type or Content-Encoding of the body is not accepted here",
    500: "An internal error; the log has the details under the request id",
}
"""Meanings of errors that say no more than their status."""


def known_problems() -> Mapping[str, Known]:
    """Return every code that an answer can have, with its status and meaning."""
    found = {code_of(status): Known(status, text) for status, text in _PLAIN.items()}
    found |= {code: Known(REFUSALS[code], text) for code, text in _REFUSALS.items()}
    for kind, (status, code) in STATUSES.items():
        found[code] = Known(status, (kind.__doc__ or "").partition("\n")[0].rstrip("."))
    return found


class Problems:
    """Makes the answers of failed operations; equal ones are one component of the document."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._known = known_problems()
        self.components: dict[str, dict[str, Any]] = {}

    def responses(self, codes: Iterable[str]) -> dict[str, Any]:
        """Return the responses, by status, of an operation that can give these codes."""
        by_status: dict[int, set[str]] = defaultdict(set)
        for code in codes:
            by_status[self._known[code].status].add(code)
        return {str(status): self._reference(status, sorted(of)) for status, of in sorted(by_status.items())}

    def _reference(self, status: int, codes: list[str]) -> dict[str, Any]:
        name = ".".join([str(status), *codes])
        self.components[name] = {
            "description": "\n".join(f"- `{code}`: {self._known[code].text}" for code in codes),
            "headers": headers.references(headers.OF_STATUS.get(status, ())),
            "content": {MEDIA_TYPE: {"schema": self._schema}},
            "x-codes": codes,
        }
        return {"$ref": f"#/components/responses/{name}"}
