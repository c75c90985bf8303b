"""The database and the model service."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.services.customer_query import SORTABLE
from gateway.services.errors.family import SegmentationError
from shared.problems import FieldError


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

    unsure = True


class QueryTimeout(StoreError):
    """Finding or counting customers took longer than it may."""

    def __init__(self, seconds: float):
        fast = ", ".join(SORTABLE)
        super().__init__(
            f"the database stopped the query after {seconds:g} s; narrow it by a filter on one of {fast}, which have "
            "an index, and sort by the same one"
        )


class StoreUnavailable(StoreError):
    """The database cannot be reached, or has no primary at the moment."""


class ModelServiceError(SegmentationError):
    """The model service gave no usable answer."""

    unsure = True


class ModelUnavailable(ModelServiceError):
    """The model service cannot be reached, or has no model loaded; or, `unsure`, it broke off in the middle."""

    def __init__(self, detail: str, *, unsure: bool = False) -> None:
        super().__init__(detail)
        self.unsure = unsure


class ModelDenied(ModelServiceError):
    """The model service does not accept this gateway: the two have been given different secrets."""

    def __init__(self) -> None:
        super().__init__("the model service does not accept this gateway; whoever runs them must mend their settings")


class ModelBusy(ModelServiceError):
    """As many requests as may are waiting for the model service already."""

    unsure = False

    def __init__(self) -> None:
        super().__init__("too many requests are waiting for the model service; try again in a moment")


class ModelTimeout(ModelServiceError):
    """The model service gave no answer within the deadline."""


class ModelMalformed(ModelServiceError):
    """The model service's answer breaks the contract, or was an internal error."""


class ModelRefused(ModelMalformed):
    """The model service refuses a customer that passed the gateway's own checks, or was stored before they held."""
