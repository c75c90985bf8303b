"""Lines of the log: their form, and that they say nothing of what an exception may quote."""

from __future__ import annotations

import json
import logging
import sys
from subprocess import run
from typing import Any

import pytest
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from gateway.services.errors import CustomerNotFound, StoreError
from shared.strict_json import MalformedJSON, loads
from shared.telemetry.logs import AccessLog, LineFormatter, configure, current_request_id, described, named

SECRET = "S00001"
DOCUMENT = {"_id": SECRET, "BALANCE": 40.900749}


def line(message: object, *arguments: object, error: BaseException | None = None) -> dict[str, Any]:
    told = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("gateway.x", logging.WARNING, __file__, 1, message, arguments, told)
    said = json.loads(LineFormatter("json").format(record))
    assert said.pop("time").endswith("Z")
    return dict(said)


def malformed() -> MalformedJSON:
    with pytest.raises(MalformedJSON) as caught:
        loads(f'{{"{SECRET}": 1, "{SECRET}": 2}}'.encode())
    return caught.value


ERRORS = [
    DuplicateKeyError(f"E11000 duplicate key error: {{ _id: {SECRET!r} }}", 11000, {"keyValue": DOCUMENT}),
    OperationFailure("Document failed validation", 121, {"errInfo": DOCUMENT}),
    BulkWriteError({"writeErrors": [{"op": DOCUMENT}]}),
    ValueError(f"could not convert string to float: {SECRET!r}"),
    KeyError(SECRET),
    ConnectionError(f"Max retries exceeded with url: /api/v1/customers/{SECRET}"),
    CustomerNotFound(SECRET),
    malformed(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_no_line_says_what_an_exception_quotes(error: Exception) -> None:
    try:
        raise StoreError("The database failed.") from error
    except StoreError as raised:
        said = line("%s failed: %s", "it", error, error=raised)
    assert SECRET not in json.dumps(said)
    assert type(error).__name__ in said["message"]
    assert type(error).__name__ in said["exception"]
    assert "StoreError: The database failed." in said["exception"]
    assert SECRET not in json.dumps(line(error))


def test_what_is_ours_and_what_a_system_says_is_told() -> None:
    assert described(StoreError("The database failed.")) == "The database failed."
    assert described(OSError(28, "x", "/models/active.json")) == "OSError: No space left on device: /models/active.json"
    assert described(ERRORS[1]) == "OperationFailure (code 121)"


def test_a_line_has_the_id_of_what_is_going_on() -> None:
    with named("r-1"):
        assert line("hello %s", "you") == {
            "level": "WARNING",
            "logger": "gateway.x",
            "request_id": "r-1",
            "message": "hello you",
        }
    assert current_request_id.get() is None


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_what_a_client_sends_forges_no_line_and_breaks_none(log_format: Any, capfd: pytest.CaptureFixture[str]) -> None:
    configure("INFO", log_format)
    odd = {"method": "GET\nforged", "route": None, "status": 404, "duration_ms": 1.0, "key": "\udcff\n"}
    AccessLog("gateway.access").write(logging.INFO, "r-1", **odd)
    logging.getLogger("gateway.x").error("\udcff")
    assert len(capfd.readouterr().err.splitlines()) == (2 if log_format == "json" else 3)


def test_libraries_say_nothing_below_info_and_we_do(capfd: pytest.CaptureFixture[str]) -> None:
    configure("DEBUG", "json")
    logging.getLogger("pymongo.command").debug("Command started %s", DOCUMENT)
    logging.getLogger("gateway.x").debug("that is ours")
    (said,) = map(json.loads, capfd.readouterr().err.splitlines())
    assert said["message"] == "that is ours"


def test_gunicorn_and_asyncio_do_not_quote_requests_and_tasks() -> None:
    def said(name: str, message: str, *arguments: object) -> str:
        record = logging.LogRecord(name, logging.WARNING, __file__, 1, message, arguments, None)
        return str(json.loads(LineFormatter("json").format(record))["message"])

    address = f"/api/v1/customers/{SECRET}"
    assert said("gunicorn.error", f"Invalid request from ip=::1: Invalid HTTP request line: 'GET {address}'") == (
        "a request that cannot be read was refused"
    )
    assert SECRET not in said("gunicorn.error", "Error handling request %s %s", "GET", address)
    assert said("gunicorn.error", "Listening at: %s (%s)", "http://[::]:80", 7) == "Listening at: http://[::]:80 (7)"
    assert said("asyncio", f"Task exception was never retrieved\nfuture: <Task exception=KeyError('{SECRET}')>") == (
        "Task exception was never retrieved"
    )


PROGRAM = """
import sys, threading, warnings
from shared.telemetry.logs import own_process
own_process("INFO", "json")
def fail(): raise KeyError(chr(83) + "00001")
class Late:
    def __del__(self): fail()
thread = threading.Thread(target=fail)
thread.start()
thread.join()
del (late := [Late()])[0]
warnings.warn("take care")
print("in two", end=" ", file=sys.stderr)
print("pieces\\nand more", file=sys.stderr)
fail()
"""


def test_all_that_a_process_says_is_json() -> None:
    done = run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert SECRET not in done.stderr
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(one["logger"], one["message"].partition("\n")[0].rpartition(": ")[2]) for one in said] == [
        ("shared.logs", "an error that nobody caught ends a thread"),
        ("shared.logs", "an error that nobody could catch"),
        ("py.warnings", "take care"),
        ("stderr", "in two pieces"),
        ("stderr", "and more"),
        ("shared.logs", "an error that nobody caught ends the process"),
    ]
    assert all("KeyError" in one["exception"] for one in said if one["logger"] == "shared.logs")
