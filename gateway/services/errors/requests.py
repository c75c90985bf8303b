"""Requests that are repeated, and files that do not arrive."""

from __future__ import annotations

from gateway.services.errors.family import SegmentationError


class IdempotencyKeyReused(SegmentationError):
    """The Idempotency-Key stands for another request."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was sent with another request; each request needs a key of its own")


class RequestInProgress(SegmentationError):
    """The same request, under the same Idempotency-Key, is being carried out just now, or broke off without a word.

    Attributes
    ----------
    retry_after : seconds after which trying again makes sense.
    """

    def __init__(self, retry_after: int, settled_in: int) -> None:
        super().__init__(
            "the first request with this Idempotency-Key is still being carried out, or broke off without a word; "
            f"it is known which in at most {settled_in} seconds"
        )
        self.retry_after = retry_after


class OutcomeUnknown(SegmentationError):
    """An earlier attempt broke off, nobody knows whether it had its effect, and having it twice would be worse."""

    def __init__(self) -> None:
        super().__init__(
            "the first request with this Idempotency-Key broke off and may have had its effect; look whether it has, "
            "and if not, send it with a new key"
        )


class AnswerNotKept(SegmentationError):
    """The request was carried out before, but its answer was not kept, or no longer is."""

    def __init__(self) -> None:
        super().__init__("this request was carried out before; its answer was not kept and cannot be sent again")


class ImportNotFound(SegmentationError):
    """No import has this id."""

    def __init__(self, import_id: str):
        super().__init__(f"there is no import {import_id!r}, or no longer")


class ImportEnded(SegmentationError):
    """The import cannot be cancelled any more."""

    def __init__(self, import_id: str, status: str):
        super().__init__(f"import {import_id} has ended already: {status}")


class UploadBroken(SegmentationError):
    """Whoever sent a file left before its end."""

    def __init__(self, detail: str = "the file broke off before its end") -> None:
        super().__init__(detail)


class UploadStalled(UploadBroken):
    """Whoever sent a file stopped sending."""

    def __init__(self) -> None:
        super().__init__("nothing more of the file has come for too long")


class ImportInterrupted(SegmentationError):
    """The import stopped midway; what it stored before stays stored, and sending the file again finishes it."""

    unsure = True

    def __init__(self, import_id: str, rows: int, reason: str):
        super().__init__(f"import {import_id} stopped after {rows} rows: {reason}")


class ImportUnreadable(ImportInterrupted):
    """The file turned out to be damaged: sending it again would not help."""


class ImportFailed(ImportInterrupted):
    """The database refuses what is imported: sending it again would not help."""


class AnalysisBusy(SegmentationError):
    """As many previews, drift analyses, drawings and hand-overs to a training as may are running in this process."""

    def __init__(self) -> None:
        super().__init__("other analyses or uploads are running; try again when one has ended")


class ClientsSlow(SegmentationError):
    """As many requests as may are waiting for their clients to send something."""

    def __init__(self) -> None:
        super().__init__("too many clients are sending slowly; try again in a moment")
