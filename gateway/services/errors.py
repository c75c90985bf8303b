"""Everything that can go wrong in a service, as one family.

SegmentationError
├── InvalidInput                 the caller's data break a rule; carries one error per value
├── CustomerNotFound
├── CustomerExists
├── CustomerNotNew               one exists where the caller asked for none
├── StaleRevision                not the revision that the caller named
├── Contended                    others kept changing the customer
├── SegmentNotFound
├── AnalysisBusy                 as many long calls as may are running
├── RegistryRefusal              the model service says no, in a way that a client should hear
├── StoreError                   the database refused or failed
│   └── StoreUnavailable         it cannot be reached, or has no primary at the moment
└── ModelServiceError
    ├── ModelUnavailable         no connection, or it has no model loaded
    ├── ModelBusy                as many requests as may are waiting for it
    ├── ModelTimeout             no answer within the deadline
    └── ModelMalformed           an answer that breaks the contract, or an internal error
        └── ModelRefused         a customer's data are refused there, though not here
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.problems import FieldError


class SegmentationError(Exception):
    """The base of the family; the message is fit for a client."""


class InvalidInput(SegmentationError):
    """The caller's data break a rule."""

    def __init__(self, errors: Sequence[FieldError], detail: str = "the request breaks the rules listed in errors"):
        super().__init__(detail)
        self.errors = list(errors)


class CustomerNotFound(SegmentationError):
    """No customer has this CUST_ID."""

    def __init__(self, cust_id: str):
        super().__init__(f"there is no customer {cust_id!r}")


class CustomerExists(SegmentationError):
    """A customer with this CUST_ID is already stored."""

    def __init__(self, cust_id: str):
        super().__init__(f"customer {cust_id!r} exists already")


class CustomerNotNew(SegmentationError):
    """The caller asked to write only if there is no such customer yet."""

    def __init__(self, cust_id: str):
        super().__init__(f"customer {cust_id!r} exists already, and If-None-Match asks for a new one")


class StaleRevision(SegmentationError):
    """The customer has changed since the revision the caller knows."""

    def __init__(self, cust_id: str):
        super().__init__(f"customer {cust_id!r} has changed since the revision named in If-Match; read it again")


class Contended(SegmentationError):
    """Others kept changing the same customer while the change was being written."""

    def __init__(self, cust_id: str):
        super().__init__(f"others keep changing customer {cust_id!r}; nothing was written, try again")


class SegmentNotFound(SegmentationError):
    """The active model has no segment with this id."""

    def __init__(self, segment_id: str):
        super().__init__(f"the active model has no segment {segment_id!r}")


class AnalysisBusy(SegmentationError):
    """As many previews, drift analyses, drawings and hand-overs to a training as may are running in this process."""

    def __init__(self) -> None:
        super().__init__("other analyses or uploads are running; try again when one has ended")


class RegistryRefusal(SegmentationError):
    """The model service refuses something that only it can judge, such as activating a version that is not there.

    Attributes
    ----------
    status, code : one of the pairs that the wire contract knows; whatever else the model service says is malformed.
    errors : what is to blame, where that can be said.
    """

    def __init__(self, status: int, code: str, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.errors = list(errors)


class StoreError(SegmentationError):
    """The database refused or failed."""


class StoreUnavailable(StoreError):
    """The database cannot be reached, or has no primary at the moment."""


class ModelServiceError(SegmentationError):
    """The model service gave no usable answer."""


class ModelUnavailable(ModelServiceError):
    """The model service cannot be reached, or has no model loaded."""


class ModelBusy(ModelServiceError):
    """As many requests as may are waiting for the model service already."""

    def __init__(self) -> None:
        super().__init__("too many requests are waiting for the model service; try again in a moment")


class ModelTimeout(ModelServiceError):
    """The model service gave no answer within the deadline."""


class ModelMalformed(ModelServiceError):
    """The model service's answer breaks the contract, or was an internal error."""


class ModelRefused(ModelMalformed):
    """The model service refuses a customer that passed the gateway's own checks, or was stored before they held."""
