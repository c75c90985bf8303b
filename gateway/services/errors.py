"""Everything that can go wrong in a service, as one family.

SegmentationError
├── InvalidInput                 the request is invalid; carries one error per value
├── Unauthenticated              no API key or token, or one that is not valid
├── ScopeMissing                 the caller may not do this
├── CsrfTokenWrong               a browser's request to change something, without the session's token
├── RateLimited                  the caller has called more often than it may
├── ApiKeyNotFound
├── ApiKeyUnusable               it has been revoked or has expired
├── IssuerUnavailable            the issuer of bearer tokens, whose keys are needed, cannot be reached
├── IssuerMisconfigured          it has another name than the settings say
├── CustomerNotFound
├── CustomerExists
├── BeforeMemory                 the change log does not go back so far
├── CustomerNotNew               there is one, and the request excludes it
├── StaleRevision                not the revision that the caller named
├── RevisionRequired             the caller must name the revision, and did not
├── CustomerNotDeleted           there is no deleted customer to be read or restored
├── MatchingDiffer               other than the confirmed number of customers match
├── CursorExpired                what followed the cursor is not kept any more
├── TooManyReaders               as many readers as may are waiting for events
├── QueryNotIndexed              no index finds the customers that are asked for, and there are many
├── DuplicateInBatch             an earlier row of the same batch has this CUST_ID
├── ErasureNotFound
├── WebhookNotFound
├── DeliveryNotFound
├── TooManyWebhooks              there are as many webhooks as may be
├── Contended                    others kept changing the customer
├── SegmentNotFound
├── OthersStored                 the sample is only for a database without other customers
├── SampleMissing                this installation came without the sample
├── SegmentsBeingCounted         no sizes of segments are known yet
├── IdempotencyKeyReused         for another request than the first one under it
├── RequestInProgress            the same request is being carried out just now
├── OutcomeUnknown               an earlier attempt at the same request was interrupted
├── ResponseNotStored            the same request was carried out, but its response cannot be sent again
├── ImportNotFound
├── ImportRunning                one that no other import may run beside, or this one has to be alone
│   └── MirrorRunning            one that mirrors a file
├── ImportEnded                  it cannot be cancelled any more
├── UploadBroken                 the client disconnected before the end of the file
├── ImportInterrupted            it stopped midway; sending the file again finishes it
│   ├── ImportUnreadable         the file turned out to be damaged
│   └── ImportFailed             the database refuses what is imported
├── MirrorRefused                nobody was deleted for being missing in a file: that might be a mistake
├── AnalysisBusy                 too many long calls are running
├── PagesBusy                    too many pages that need no key are being asked for
├── RegistryRefusal              the model service refuses, for a reason that the client has to know
├── StoreError                   the database rejected the operation or failed
│   ├── QueryTimeout             finding or counting customers took too long
│   ├── PeriodTooLong            going through the changes of so long a time took too long
│   └── StoreUnavailable         it cannot be reached, or has no primary at the moment
└── ModelServiceError
    ├── ModelUnavailable         no connection, or it has no model loaded
    ├── ModelBusy                too many requests are waiting for it
    ├── ModelAccessDenied        it rejects this gateway: the tiers' secrets differ
    ├── ModelTimeout             no answer within the deadline
    └── ModelMalformed           an answer that breaks the contract, or an internal error
        └── ModelRefused         a customer's data are refused there, though not here
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from shared.problems import FieldError


class SegmentationError(Exception):
    """The base of the family; the message is fit for a client.

    Attributes
    ----------
    unsure : whether the request may have taken effect all the same, as when no answer came in time.
    private : whether the message names a customer, so that the log must not have it.
    """

    unsure = False
    private = False


def is_refusal(error: BaseException) -> bool:
    """Whether an error says for sure that nothing was done."""
    return isinstance(error, SegmentationError) and not error.unsure


class InvalidInput(SegmentationError):
    """The request is invalid; `errors` says where and why."""

    def __init__(self, errors: Sequence[FieldError], detail: str = "The request is invalid: see errors."):
        super().__init__(detail)
        self.errors = list(errors)


class Unauthenticated(SegmentationError):
    """There is no valid API key or token; `given` says whether there was one at all."""

    def __init__(self, *, given: bool = True):
        refused = "The API key or token is not valid: it is unknown, wrong, revoked or expired."
        super().__init__(
            refused if given else "Send an API key or a token in the header Authorization, after the word Bearer."
        )
        self.given = given


class ScopeMissing(SegmentationError):
    """The API key or token lacks the scope that this needs."""

    def __init__(self, scope: str):
        super().__init__(f"This needs the scope '{scope}'.")
        self.scope = scope


class CsrfTokenWrong(SegmentationError):
    """A request in a session would change something, and does not show that it comes from a page of this service."""

    def __init__(self) -> None:
        super().__init__("Send the session's CSRF token in the header X-CSRF-Token; pages have it, so load yours anew.")


class RateLimitStatus(NamedTuple):
    """Where a caller stands, as far as this process knows.

    Attributes
    ----------
    policy : the limit's name.
    limit : requests in a window.
    remaining : requests that are left of it, or a few less.
    reset : whole seconds until the next window.
    policies : all limits of the kind, as the header RateLimit-Policy says it.
    """

    policy: str
    limit: int
    remaining: int
    reset: int
    policies: str


class RateLimited(SegmentationError):
    """The caller has used up its rate limit.

    Attributes
    ----------
    standing : which window, and when the next one begins.
    """

    def __init__(self, standing: RateLimitStatus) -> None:
        super().__init__(
            f"The limit of {standing.limit} requests is used up; the next window begins in {standing.reset} seconds."
        )
        self.standing = standing


class ApiKeyNotFound(SegmentationError):
    """No API key has this id."""

    def __init__(self, key_id: str):
        super().__init__(f"There is no API key {key_id!r}.")


class ApiKeyUnusable(SegmentationError):
    """The API key has been revoked or has expired; only a new key helps."""

    def __init__(self, key_id: str):
        super().__init__(f"API key {key_id!r} has been revoked or has expired; create a new one.")


class IssuerUnavailable(SegmentationError):
    """The issuer of bearer tokens, whose keys are needed to check one, cannot be reached."""

    def __init__(self) -> None:
        super().__init__("The token cannot be checked because its issuer cannot be reached; try again.")


class IssuerMisconfigured(SegmentationError):
    """The issuer of bearer tokens has another name than the settings say; trying again does not help."""

    def __init__(self) -> None:
        super().__init__(
            "No token can be checked: the setting OIDC_ISSUER is not the name that the issuer gives itself (a slash at "
            "its end counts). Whoever runs this service must correct it; the log has both names."
        )


class CustomerNotFound(SegmentationError):
    """No customer has this CUST_ID."""

    private = True

    def __init__(self, cust_id: str, at: datetime | None = None):
        there_is = "There is no" if at is None else f"At {at.isoformat()}Z there was no"
        super().__init__(f"{there_is} customer {cust_id!r}.")


class CustomerExists(SegmentationError):
    """A customer with this CUST_ID is already stored."""

    private = True

    def __init__(self, cust_id: str):
        super().__init__(f"Customer {cust_id!r} already exists.")


class BeforeMemory(SegmentationError):
    """The change log does not go back to the time that is asked about; `errors` has the earliest one.

    Attributes
    ----------
    earliest : the first time that can be asked about.
    """

    def __init__(self, since: datetime, parameter: str = "as_of"):
        self.earliest = since
        earliest = f"{since.isoformat()}Z"
        super().__init__(f"How it was then is not known any more: the change log goes back to {earliest}.")
        self.errors = [FieldError(pointer=f"?{parameter}", detail=f"must be {earliest} or later")]


class CustomerNotNew(SegmentationError):
    """The request is only for a customer that does not exist yet, or is not in a certain state."""

    private = True

    def __init__(self, cust_id: str):
        super().__init__(f"Customer {cust_id!r} already exists, in a state that the request excludes.")


class StaleRevision(SegmentationError):
    """The customer does not have the revision that the caller names, as it has changed since, or is not there."""

    private = True

    def __init__(self, cust_id: str, reason: str = "no longer has the revision that the request names; read it again"):
        super().__init__(f"Customer {cust_id!r} {reason}.")

    @classmethod
    def of_nobody(cls, cust_id: str) -> StaleRevision:
        """Return the error where there is no such customer."""
        return cls(cust_id, "does not exist, so that it has no revision; the request is only for one that is there")

    @classmethod
    def named_weakly(cls, cust_id: str) -> StaleRevision:
        """Return the error where the revision is the right one, and named as one of several equivalent ones."""
        reason = "has this revision, but the request names it weakly (W/), which is not enough to change it: something"
        return cls(cust_id, f"{reason} on the way, such as a proxy that compresses, has weakened it; leave the W/ out")

    @classmethod
    def unnamed(cls, cust_id: str) -> StaleRevision:
        """Return the error where the caller wants a certain revision, and says none that can be read."""
        reason = "is unchanged, as the request asks for certain revisions and names no revision that can be read: each"
        return cls(cust_id, f"{reason} stands in double quotes, with commas between several")


class RevisionRequired(SegmentationError):
    """Here, a stored customer can only be changed by a request that names its revision."""

    private = True

    def __init__(self, cust_id: str):
        super().__init__(
            f"Name the revision of customer {cust_id!r} that you change in If-Match, or in a batch in if_revision."
        )


class CustomerNotDeleted(SegmentationError):
    """There is no deleted customer with this CUST_ID that can be restored."""

    private = True

    def __init__(self, cust_id: str):
        super().__init__(f"There is no deleted customer {cust_id!r} that can be restored.")


class MatchingDiffer(SegmentationError):
    """Other than the confirmed number of customers match; none was deleted."""

    def __init__(self, confirmed: int, matching: int):
        super().__init__(f"{matching} customers match, not {confirmed}; none was deleted.")
        self.errors = [FieldError(pointer="?confirm", detail=f"must be {matching}, the number that match now")]


class CursorExpired(SegmentationError):
    """Events that followed the cursor are not kept any more; `earliest` is the cursor before those that are."""

    def __init__(self, earliest: str):
        super().__init__(
            "Events that followed this cursor are not kept any more, or the database is another one than when it was "
            f"given out. Read the customers anew, and go on with after={earliest}, the earliest cursor."
        )
        self.earliest = earliest


class TooManyReaders(SegmentationError):
    """As many readers as may are waiting for events; read without `wait`, or try again later."""

    def __init__(self) -> None:
        super().__init__("Too many readers are waiting for events; read without waiting, or try again in a moment.")


class QueryNotIndexed(SegmentationError):
    """No index finds the customers that are asked for, and there are too many to look through."""

    def __init__(self, faults: Sequence[FieldError], indexed: Sequence[str], few: int):
        super().__init__(
            "There are too many customers to look through for what has no index (see errors). Filter and sort by "
            f"{', '.join(indexed)}, or add a condition on one of these that fewer than {few:,} customers match. "
            "Exports take any filter."
        )
        self.errors = list(faults)


class DuplicateInBatch(SegmentationError):
    """An earlier row of the same batch has the same CUST_ID."""

    private = True

    def __init__(self, cust_id: str):
        super().__init__(f"An earlier row of this batch has the same CUST_ID {cust_id!r}; this one was not written.")


class ErasureNotFound(SegmentationError):
    """No erasure has this id."""

    def __init__(self, erasure_id: str):
        super().__init__(f"There is no erasure {erasure_id!r}.")


class WebhookNotFound(SegmentationError):
    """No webhook has this id."""

    def __init__(self, webhook_id: str):
        super().__init__(f"There is no webhook {webhook_id!r}.")


class DeliveryNotFound(SegmentationError):
    """The webhook's log has no delivery with this id; it may be too old to be kept."""

    def __init__(self, delivery_id: str):
        super().__init__(f"The webhook's log has no delivery {delivery_id!r}; it may be too old to be kept.")


class TooManyWebhooks(SegmentationError):
    """There are as many webhooks as may be; delete one first."""

    def __init__(self, most: int):
        super().__init__(f"There are {most} webhooks already, which is the most; delete one that nobody needs.")


class Contended(SegmentationError):
    """Other requests kept changing the same customer while this one tried to."""

    private = True

    def __init__(self, cust_id: str):
        super().__init__(f"Other requests keep changing customer {cust_id!r}; it was not written, try again.")


class SegmentNotFound(SegmentationError):
    """The active model has no segment with this id."""

    def __init__(self, segment_id: str):
        super().__init__(f"The active model has no segment {segment_id!r}.")


class IdempotencyKeyReused(SegmentationError):
    """The Idempotency-Key was already used for a different request."""

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was already used for a different request; use a new key for each request."
        )


class RequestInProgress(SegmentationError):
    """The first request with this Idempotency-Key is still running, or was interrupted.

    Attributes
    ----------
    retry_after : seconds after which trying again makes sense.
    """

    def __init__(self, retry_after: int, settled_in: int) -> None:
        super().__init__(
            "The first request with this Idempotency-Key is still running or was interrupted; "
            f"this is settled in at most {settled_in} seconds."
        )
        self.retry_after = retry_after


class OutcomeUnknown(SegmentationError):
    """An earlier attempt was interrupted: it may have taken effect, and doing it twice would be worse."""

    def __init__(self) -> None:
        super().__init__(
            "The first request with this Idempotency-Key was interrupted and may have taken effect; check whether it "
            "has, and if not, send it again with a new key."
        )


class ResponseNotStored(SegmentationError):
    """The request was carried out before, but its response was not kept, or no longer is."""

    def __init__(self) -> None:
        super().__init__(
            "This request has already been carried out; its response was not kept and cannot be sent again."
        )


class ImportNotFound(SegmentationError):
    """No import has this id."""

    def __init__(self, import_id: str):
        super().__init__(f"There is no import {import_id!r}, or it has expired.")


class ImportEnded(SegmentationError):
    """The import cannot be cancelled any more."""

    def __init__(self, import_id: str, status: str):
        super().__init__(f"Import {import_id} has already ended: {status}.")


class UploadBroken(SegmentationError):
    """The client disconnected before the end of the file."""

    def __init__(self) -> None:
        super().__init__("The upload ended before the end of the file.")


class ImportInterrupted(SegmentationError):
    """The import stopped midway; what it stored before stays stored, and sending the file again finishes the import."""

    unsure = True

    def __init__(self, import_id: str, rows: int, reason: str):
        super().__init__(f"Import {import_id} stopped after {rows} rows: {reason}")


class ImportUnreadable(ImportInterrupted):
    """The file turned out to be damaged: sending it again would not help."""


class ImportFailed(ImportInterrupted):
    """The database rejects what is imported: sending it again would not help."""


class ImportRunning(SegmentationError):
    """An import runs, and this one, that one or the removal of the sample has to be alone.

    Parameters
    ----------
    import_id : which one; None where the sample is being loaded or removed.
    """

    def __init__(self, import_id: str | None) -> None:
        super().__init__(
            "The sample is being loaded or removed: try again when that has ended."
            if import_id is None
            else f"Import {import_id} is running, and no import may run beside one that mirrors a file or brings the "
            "sample: try again when it has ended."
        )


class MirrorRunning(ImportRunning):
    """The import that runs mirrors a file: what another one names meanwhile might be deleted."""


class OthersStored(SegmentationError):
    """Other customers than the sample's are stored, which it must not be mixed with."""

    def __init__(self, changed: int = 0) -> None:
        have = "1 of them has an id" if changed == 1 else f"{changed} of them have ids"
        whose = f" {have} of the sample, and other data." if changed else ""
        super().__init__(
            f"Other customers are stored: the sample would be counted among them.{whose} It is for an empty database; "
            "whoever wants it nevertheless imports data/sample.csv."
        )


class SampleMissing(SegmentationError):
    """The installation came without the sample."""

    def __init__(self) -> None:
        super().__init__("This installation came without the file data/sample.csv.")


class MirrorRefused(SegmentationError):
    """Nobody was deleted for being missing in a file, which might be a mistake; its faultless rows were stored.

    Parameters
    ----------
    stored : how many faultless rows it had.

    Attributes
    ----------
    reason : why.
    """

    unsure = True

    def __init__(self, reason: str, confirm: int | None, stored: int):
        done = "The faultless rows of the file were stored, but nobody" if stored else "Nothing was stored, and nobody"
        super().__init__(f"{done} was deleted: {reason}.")
        self.reason = reason
        self.errors = []
        if confirm is not None:
            self.errors.append(FieldError(pointer="?confirm_missing", detail=f"must be {confirm}, so many are missing"))


class SegmentsBeingCounted(SegmentationError):
    """The sizes of the segments are being counted, and none are known yet."""

    def __init__(self) -> None:
        super().__init__(
            "The customers of each segment have not been counted yet: the worker does so within a minute of its start."
        )


class AnalysisBusy(SegmentationError):
    """Too many previews, drift analyses, drawings and uploads to trainings are running in this process."""

    def __init__(self) -> None:
        super().__init__("Too many analyses and uploads are running; try again when one has ended.")


class PagesBusy(SegmentationError):
    """Too many pages that need no key are being asked for at once."""

    def __init__(self) -> None:
        super().__init__("Too many pages are being asked for; try again in a moment.")


class RegistryRefusal(SegmentationError):
    """The model service refuses something that only it can judge, such as activating a version that is not there.

    Attributes
    ----------
    status, code : one of the pairs that the wire contract knows; whatever else the model service says is malformed.
    errors : the values that are to blame, where that is known.
    """

    def __init__(self, status: int, code: str, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.errors = list(errors)


class StoreError(SegmentationError):
    """The database rejected the operation or failed."""

    unsure = True


class QueryTimeout(StoreError):
    """Finding or counting customers took too long."""

    def __init__(self, seconds: float, indexed: Sequence[str] = ()):
        fast = ", ".join(indexed)
        advice = f"; filter by one of {fast}, which have an index, and sort by the same one" if fast else ""
        super().__init__(f"The query was stopped after {seconds:g} s{advice}.")


class PeriodTooLong(StoreError):
    """Going through the changes of so long a time took too long."""

    def __init__(self, seconds: float):
        super().__init__(f"The search was stopped after {seconds:g} s; ask for a shorter time from since to until.")


class StoreUnavailable(StoreError):
    """The database cannot be reached or has no primary at the moment, or others kept changing the same."""


class ModelServiceError(SegmentationError):
    """The model service gave no usable answer."""

    unsure = True


class ModelUnavailable(ModelServiceError):
    """The model service cannot be reached, has no model loaded, or (`unsure`) ended the connection midway."""

    def __init__(self, detail: str, *, unsure: bool = False) -> None:
        super().__init__(detail)
        self.unsure = unsure


class ModelAccessDenied(ModelServiceError):
    """The model service rejects this gateway: the two have different secrets."""

    def __init__(self) -> None:
        super().__init__(
            "The model service rejected the gateway's credentials; an operator has to correct the settings."
        )


class ModelBusy(ModelServiceError):
    """Too many requests are waiting for the model service already."""

    unsure = False

    def __init__(self) -> None:
        super().__init__("Too many requests are waiting for the model service; try again in a moment.")


class ModelTimeout(ModelServiceError):
    """The model service gave no answer within the deadline."""


class ModelMalformed(ModelServiceError):
    """The model service's answer breaks the contract, or was an internal error."""


class ModelRefused(ModelMalformed):
    """The model service rejects a customer that passed the gateway's checks, or was stored before they existed.

    Attributes
    ----------
    whole : it is no customer's fault: the model service has other columns than the gateway.
    """

    def __init__(self, detail: str, whole: bool = False) -> None:
        super().__init__(detail)
        self.whole = whole
