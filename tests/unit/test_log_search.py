"""The search through the logs of a test run finds what it is there for: otherwise it could not fail."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes.api_keys import ADMIN_KEY
from support.log_search import SECRETS, search, search_files, search_report

WORDS = frozenset({"C10001", "40.900749"})
GOOD = (
    '{"time":"2026-11-27T00:11:55.123Z","level":"INFO","logger":"gateway.access","request_id":"1f","method":"GET",'
    '"route":"/api/v1/customers/{CUST_ID}","status":200,"duration_ms":40.9,"key":"AdminAdmin01","customer":"00ff"}'
)


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("an API key", ADMIN_KEY),
        ("a token", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"),
        ("credentials", "Authorization: Bearer abcdefghijklmnop"),
        ("a secret", f"MODEL_SERVICE_SECRET is {SECRETS[0]}"),
        ("an address with a CUST_ID", "GET /api/v1/customers/anna 200 1.2 ms"),
        ("an address with a CUST_ID", "POST /api/v1/deleted-customers/B%20x"),
        ("a query string", "GET /api/v1/erasures?CUST_ID=anna"),
        ("a cursor", "cursor='eyJsYXN0IjoiQzEifQxyz'"),
        ("a document", "WriteError: {'_id': 'x', 'BALANCE': 12.5}"),
        ("a document", r"{\"CUST_ID\":\"anna7\"}"),
        ("a customer's name", "There is no customer 'anna'."),
        ("of the data sets: C10001", "customer C10001 cannot be assigned"),
        ("of the data sets: 40.900749", "ValueError: 40.900749"),
    ],
)
def test_each_kind_is_found_with_its_place(tmp_path: Path, what: str, text: str) -> None:
    (tmp_path / "processes").mkdir()
    log = tmp_path / "processes" / "gateway.log"
    log.write_text(f"{GOOD}\n{GOOD} {text}\n")
    (found,) = search_files(tmp_path, WORDS)
    log.unlink()  # or the end of this very run would find it
    assert (found.where, found.line, found.what) == (str(log), 2, what)
    sections = [("Captured stdout call", text), ("Captured stderr call", f"not ours: {text}\n{GOOD} {text}\n")]
    (found,) = search_report(SimpleNamespace(nodeid="test_x", sections=sections), WORDS)
    assert (found.where, found.line, found.what) == ("test_x, Captured stderr call", 2, what)


def test_what_may_be_said_is_not_found() -> None:
    lines = [GOOD, "model v1 needs TENURE, which 2 customers lack", "customer 9f86d081884c7d65 cannot be assigned"]
    assert [*search("gateway.log", lines, WORDS)] == []
