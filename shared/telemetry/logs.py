"""Lines of the log, one for each thing that is said: JSON in production, text for people in development.

All of them are made here, those of the servers and of libraries too, and none says more than it may. A request's line
is written without a log record. Measured per line, the time and the write to /dev/null included: structlog 6.7 us, a
record of the standard library with orjson in its formatter 7.1, orjson without a record 2.0. An f-string would take
1.4, but what callers send (a method, a token's subject) has to be escaped.

What is said of an exception is its type and where it came from, with its text only where that text is ours: a driver's
error quotes the document that it refused, a conversion's the value, a connection's the address.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from io import TextIOBase
from types import TracebackType
from typing import Any, Final, Literal

import orjson

from shared.telemetry import traces

LogFormat = Literal["json", "text"]
LOG_FORMAT: Final = "LOG_FORMAT"
"""The environment variable; servers that are started by this process find the format in it."""

current_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered here, or of what the worker is doing."""

_OURS: Final = ("gateway.", "model_service.", "shared.")
_STDERR: Final = 2


def default_format(deployment: str) -> LogFormat:
    """Return how a deployment logs that says nothing about it."""
    return "text" if deployment == "development" else "json"


@contextmanager
def named(identity: str) -> Iterator[None]:
    """Give what is done in the block an id, which its lines and its calls of the model service carry."""
    token = current_request_id.set(identity)
    try:
        yield
    finally:
        current_request_id.reset(token)


def line_time() -> str:
    """Return the time as in RFC 3339, in UTC, to the millisecond."""
    milliseconds = time.time_ns() // 1_000_000
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(2)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


class AccessLog:
    """Writes one line for each request, in the format that `configure` was told.

    Parameters
    ----------
    name : of the logger whose level counts, and in the lines.
    """

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(name)

    def takes(self, level: int) -> bool:
        """Return whether a line of this level would be written."""
        return self._log.isEnabledFor(level)

    def write(self, level: int, request_id: str, **members: Any) -> None:
        """Write a line: what all lines have, and these members; those that are None are left out of a text."""
        said = {
            "time": line_time(),
            "level": logging.getLevelName(level),
            "logger": self._log.name,
            "request_id": request_id,
            **members,
        }
        if (trace := traces.current_trace_id()) is not None:
            said["trace_id"] = trace
        _write(_json(said) if _format == "json" else _request_text(said))


def _request_text(said: dict[str, Any]) -> bytes:
    begin = f"{said['time']} {said['level']} [{said['request_id']}] {said['logger']}:"
    what = f"{said['method']!r}"[1:-1]  # a line break in it cannot forge a line of the log
    rest = [f"{name}={said[name]}" for name in ("key", "customer", "client", "trace_id") if said.get(name) is not None]
    line = " ".join([begin, what, said["route"] or "-", str(said["status"]), f"{said['duration_ms']} ms", *rest])
    return line.encode(errors="backslashreplace") + b"\n"


def _json(said: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a lone surrogate, or a number that JSON has not
        plain = {name: str(value).encode(errors="backslashreplace").decode() for name, value in said.items()}
        return orjson.dumps(plain, option=orjson.OPT_APPEND_NEWLINE)


def _write(line: bytes) -> None:
    # Nobody must suffer because whoever reads the log has gone or the disk is full, and there is nowhere to say it.
    with suppress(OSError):
        os.write(_STDERR, line)


class LineFormatter(logging.Formatter):
    """Makes a record one line. What an exception among its arguments says is judged as that of a traceback is."""

    def __init__(self, log_format: LogFormat) -> None:
        super().__init__()
        self._json = log_format == "json"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said: dict[str, Any] = {
            "time": line_time(),
            "level": record.levelname,
            "logger": record.name,
            "request_id": current_request_id.get(),
            "message": _message(record),
        }
        if (trace := traces.current_trace_id()) is not None:
            said["trace_id"] = trace
        if record.exc_info and record.exc_info[1] is not None:
            said["exception"] = self.formatException(record.exc_info)
        if self._json:
            return _json(said).decode()[:-1]
        line = f"{said['time']} {said['level']} [{said['request_id'] or '-'}] {said['logger']}: {said['message']}"
        return "\n".join([line, *([said["exception"]] if "exception" in said else [])])

    def formatException(self, ei: Any) -> str:  # noqa: N802  # the standard library's name
        """Return the traceback, with no text of an exception that is not ours."""
        return described_traceback(ei[1])


def _message(record: logging.LogRecord) -> str:
    message = str(record.msg)
    if record.args:
        arguments = record.args
        if isinstance(arguments, tuple):
            arguments = tuple(described(one) if isinstance(one, BaseException) else one for one in arguments)
        message = message % arguments
    elif isinstance(record.msg, BaseException):
        message = described(record.msg)
    if record.name == "gunicorn.error":
        return _without_request(message)
    # asyncio appends the representation of tasks and exceptions.
    return message.partition("\n")[0] if record.name == "asyncio" else message


_QUOTES_THE_REQUEST: Final = {
    "Invalid request from ip=": "a request that cannot be read was refused",
    "Error handling request": "an error while a request was being handled",
    "Error handling connection": "an error on a connection",
}
"""How gunicorn's messages begin that have the request's address, or what of it could not be read."""


def _without_request(message: str) -> str:
    return next((said for begin, said in _QUOTES_THE_REQUEST.items() if message.startswith(begin)), message)


def described(error: BaseException) -> str:
    """Return what may be said of an exception: the text of ours, of others the type and a code of the error.

    Of ours, those have an attribute `private` whose text names a customer or quotes what was sent.
    """
    kind = type(error)
    if kind.__module__.startswith(_OURS):
        return kind.__name__ if getattr(error, "private", False) else str(error)
    if isinstance(error, OSError) and error.errno in errno.errorcode:
        file = f": {error.filename}" if error.filename is not None else ""
        return f"{kind.__name__}: {os.strerror(error.errno or 0)}{file}"
    code = getattr(error, "code", None)  # a database's
    return f"{kind.__name__} (code {code})" if isinstance(code, int) else kind.__name__


def described_traceback(error: BaseException | None) -> str:
    """Return where an exception and those behind it come from, each as `described`."""
    told: list[str] = []
    while error is not None:
        kind = type(error)
        ours = kind.__module__.startswith(_OURS)
        name = f"{kind.__name__}: {described(error)}" if ours else described(error)
        frames = "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
        told.append("\n".join(part for part in ("Traceback (most recent call last):", frames, name) if part))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\nwhich came from\n\n".join(told)


class _Handler(logging.Handler):
    """Writes each record at once. What goes wrong here is said in a line too: Python would print all arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with the record
            record.msg, record.args, record.exc_info = f"a line cannot be made: {described(error)}", None, None
            line = self.format(record)
        _write(line.encode(errors="backslashreplace") + b"\n")


_format: LogFormat = "text"


def formatter() -> LineFormatter:
    """Return what makes lines in this process, or in one that it has started."""
    return LineFormatter("json" if os.environ.get(LOG_FORMAT, _format) == "json" else "text")


def handler() -> logging.Handler:
    """Return what writes lines of loggers that servers keep apart."""
    made = _Handler()
    made.setFormatter(formatter())
    return made


def configure(level: str, log_format: LogFormat) -> None:
    """Log to standard error, from this level on; of libraries only from INFO on: below, drivers tell documents."""
    global _format
    _format = log_format
    made = _Handler()
    made.setFormatter(LineFormatter(log_format))
    logging.basicConfig(level=max(logging.INFO, logging.getLevelNamesMapping()[level]), handlers=[made], force=True)
    for ours in _OURS:
        logging.getLogger(ours[:-1]).setLevel(level)
    # No line names its source or thread: not looking for them halves the cost of a record (Python's logging HOWTO,
    # "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False


def own_process(level: str, log_format: LogFormat) -> None:
    """Let a whole process log so: also warnings, what nobody catches, and what is printed to standard error."""
    configure(level, log_format)
    os.environ[LOG_FORMAT] = log_format
    _take_over(log_format)


def _take_over(log_format: LogFormat) -> None:
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    if log_format == "json" and not isinstance(sys.stderr, _Lines):
        sys.stderr = _Lines()


def before_settings() -> None:
    """Let a process that will serve log so while its settings are not read: that a setting is wrong is a line, too."""
    known: dict[str | None, LogFormat] = {"json": "json", "text": "text"}
    said = os.environ.get(LOG_FORMAT)
    log_format = known.get(said) or default_format(os.environ.get("DEPLOYMENT", ""))
    _take_over(log_format)
    configure("INFO", log_format)


log = logging.getLogger("shared.logs")


def _uncaught(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    if not isinstance(error, KeyboardInterrupt):
        log.critical("an error that nobody caught ends the process", exc_info=error)


def _uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and not isinstance(told.exc_value, SystemExit):
        log.critical("an error that nobody caught ends a thread", exc_info=told.exc_value)


def _unraisable(told: Any) -> None:
    log.error("an error that nobody could catch", exc_info=told.exc_value)


class _Lines(TextIOBase):
    """Standard error of a process that logs in JSON: what is printed there becomes lines of the log."""

    def __init__(self) -> None:
        self._begun = ""

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor, for those who write to it themselves."""
        return _STDERR

    def write(self, text: str) -> int:
        """Write what is complete; of the rest more may follow."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if line.strip():
                said = {"time": line_time(), "level": "ERROR", "logger": "stderr"}
                _write(_json({**said, "request_id": current_request_id.get(), "message": line}))
        return len(text)
