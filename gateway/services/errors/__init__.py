"""Everything that can go wrong in a service, as one family.

SegmentationError
├── InvalidInput                 the caller's data break a rule; carries one error per value
├── Unauthenticated              no API key or token, or one that does not hold
├── ScopeMissing                 the caller may not do this
├── RateLimited                  the caller has called more often than it may
├── ApiKeyNotFound
├── ApiKeyUnusable               it has been revoked or has expired
├── IssuerUnavailable            whoever issues bearer tokens cannot be asked for the keys to check one
├── CustomerNotFound
├── CustomerExists
├── CustomerNotNew               one exists where the caller asked for none
├── StaleRevision                not the revision that the caller named
├── RevisionRequired             the caller must name the revision, and did not
├── CustomerNotDeleted           there is no deleted customer to be read or restored
├── DuplicateInBatch             an earlier row of the same batch has this CUST_ID
├── ErasureNotFound
├── Contended                    others kept changing the customer
├── SegmentNotFound
├── IdempotencyKeyReused         for another request than the first one under it
├── RequestInProgress            the same request is being carried out just now
├── OutcomeUnknown               an earlier attempt at the same request broke off
├── AnswerNotKept                the same request was carried out, but its answer cannot be sent again
├── ImportNotFound
├── ImportEnded                  it cannot be cancelled any more
├── UploadBroken                 whoever sent a file left before its end
│   └── UploadStalled            or stopped sending
├── ImportInterrupted            it stopped midway; sending the file again finishes it
│   ├── ImportUnreadable         the file turned out to be damaged
│   └── ImportFailed             the database refuses what is imported
├── AnalysisBusy                 as many long calls as may are running
├── ClientsSlow                  as many requests as may are waiting for their clients to send something
├── RegistryRefusal              the model service says no, in a way that a client should hear
├── StoreError                   the database refused or failed
│   ├── QueryTimeout             finding or counting customers took longer than it may
│   └── StoreUnavailable         it cannot be reached, or has no primary at the moment
└── ModelServiceError
    ├── ModelUnavailable         no connection, or it has no model loaded
    ├── ModelBusy                as many requests as may are waiting for it
    ├── ModelDenied              it does not accept this gateway: the tiers' secrets differ
    ├── ModelTimeout             no answer within the deadline
    └── ModelMalformed           an answer that breaks the contract, or an internal error
        └── ModelRefused         a customer's data are refused there, though not here
"""

from __future__ import annotations

from gateway.services.errors.access import (
    ApiKeyNotFound,
    ApiKeyUnusable,
    IssuerUnavailable,
    RateLimited,
    ScopeMissing,
    Unauthenticated,
)
from gateway.services.errors.customers import (
    Contended,
    CustomerExists,
    CustomerNotDeleted,
    CustomerNotFound,
    CustomerNotNew,
    DuplicateInBatch,
    ErasureNotFound,
    RevisionRequired,
    SegmentNotFound,
    StaleRevision,
)
from gateway.services.errors.family import InvalidInput, SegmentationError, is_refusal
from gateway.services.errors.outside import (
    ModelBusy,
    ModelDenied,
    ModelMalformed,
    ModelRefused,
    ModelServiceError,
    ModelTimeout,
    ModelUnavailable,
    QueryTimeout,
    RegistryRefusal,
    StoreError,
    StoreUnavailable,
)
from gateway.services.errors.requests import (
    AnalysisBusy,
    AnswerNotKept,
    ClientsSlow,
    IdempotencyKeyReused,
    ImportEnded,
    ImportFailed,
    ImportInterrupted,
    ImportNotFound,
    ImportUnreadable,
    OutcomeUnknown,
    RequestInProgress,
    UploadBroken,
    UploadStalled,
)

__all__ = [
    "AnalysisBusy",
    "AnswerNotKept",
    "ApiKeyNotFound",
    "ApiKeyUnusable",
    "ClientsSlow",
    "Contended",
    "CustomerExists",
    "CustomerNotDeleted",
    "CustomerNotFound",
    "CustomerNotNew",
    "DuplicateInBatch",
    "ErasureNotFound",
    "IdempotencyKeyReused",
    "ImportEnded",
    "ImportFailed",
    "ImportInterrupted",
    "ImportNotFound",
    "ImportUnreadable",
    "InvalidInput",
    "IssuerUnavailable",
    "ModelBusy",
    "ModelDenied",
    "ModelMalformed",
    "ModelRefused",
    "ModelServiceError",
    "ModelTimeout",
    "ModelUnavailable",
    "OutcomeUnknown",
    "QueryTimeout",
    "RateLimited",
    "RegistryRefusal",
    "RequestInProgress",
    "RevisionRequired",
    "ScopeMissing",
    "SegmentNotFound",
    "SegmentationError",
    "StaleRevision",
    "StoreError",
    "StoreUnavailable",
    "Unauthenticated",
    "UploadBroken",
    "UploadStalled",
    "is_refusal",
]
