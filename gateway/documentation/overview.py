"""The first page of the document: what holds for every operation."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.documentation.problems import Known

TITLE = "Customer segmentation"
VERSION = "1.0.0"
"""Of this interface, not of the program."""
SUMMARY = "Card holders, the segments they are in, and the model that finds the segments"

SECURITY: Mapping[str, Mapping[str, str]] = {
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "csk_…",
        "description": "An API key, made with `python -m gateway keys create` or POST /api/v1/api-keys; shown once.",
    },
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the OpenID Connect issuer that this installation trusts, if it trusts one.",
    },
}
MODEL_SERVICE: Mapping[str, str] = {
    "url": "/openapi/model-service.json",
    "description": "The document of the model service, which only this gateway reaches",
}

_TEXT = """\
A bank keeps its card holders here and learns to which kind each belongs, how sure that is, and why.

**Keys.** Send an API key (`Authorization: Bearer csk_…`) or, where this installation trusts an issuer, its token in the
same header. Each operation names the scope it needs; `admin` includes all of them.

**Changes.** Every customer has an ETag. Send it as `If-Match` with a change: 412 says that somebody else was faster.

**Trying again.** Send a POST with an `Idempotency-Key`; sent again with the same key, it is carried out once.

**Pages** follow `next_cursor`, also in `Link`. **Limits** are told in `RateLimit`; 429 says in `Retry-After` how
long to wait.

**Errors** are `application/problem+json` (RFC 9457) with a stable `code`, the `request_id` and, for refused values,
`errors` with a JSON pointer each; a pointer that begins with `?` names a parameter of the query string. Parameters that
an address does not know are refused.

<details><summary>All codes</summary>

{codes}

</details>

**Times** are UTC, RFC 3339. **HEAD** works wherever GET does. An answer may gain members; a client ignores those that
it does not know.
"""


def text(problems: Mapping[str, Known]) -> str:
    """Return the first page, with the table of all problem codes."""
    rows = [f"| `{code}` | {known.status} | {known.text} |" for code, known in sorted(problems.items())]
    return _TEXT.format(codes="\n".join(["| code | status | meaning |", "|---|---|---|", *rows]))
