"""Customers that are not, or not as the caller thinks."""

from __future__ import annotations

from gateway.services.errors.family import SegmentationError


class CustomerNotFound(SegmentationError):
    """No customer has this CUST_ID."""

    def __init__(self, cust_id: str):
        super().__init__(f"there is no customer {cust_id!r}")


class CustomerExists(SegmentationError):
    """A customer with this CUST_ID is already stored."""

    def __init__(self, cust_id: str):
        super().__init__(f"customer {cust_id!r} exists already")


class CustomerNotNew(SegmentationError):
    """The caller asked to write only if there is no such customer yet, or not in a certain state."""

    def __init__(self, cust_id: str):
        super().__init__(f"customer {cust_id!r} exists already, in a state that If-None-Match rules out")


class StaleRevision(SegmentationError):
    """The customer has changed since the revision the caller knows."""

    def __init__(self, cust_id: str):
        super().__init__(f"customer {cust_id!r} has changed since the revision named in If-Match; read it again")


class RevisionRequired(SegmentationError):
    """A stored customer is changed here only by who says which revision is known."""

    def __init__(self, cust_id: str):
        super().__init__(f"name the revision of customer {cust_id!r} that you know in If-Match, as its ETag has it")


class CustomerNotDeleted(SegmentationError):
    """There is no deleted customer with this CUST_ID, or no longer."""

    def __init__(self, cust_id: str):
        super().__init__(f"no customer {cust_id!r} was deleted within the time in which it can be restored")


class DuplicateInBatch(SegmentationError):
    """An earlier row of the same batch has the same CUST_ID."""

    def __init__(self, cust_id: str):
        super().__init__(f"an earlier row of this batch is customer {cust_id!r}, too; it was written, this one was not")


class ErasureNotFound(SegmentationError):
    """No erasure has this id."""

    def __init__(self, erasure_id: str):
        super().__init__(f"there is no erasure {erasure_id!r}")


class Contended(SegmentationError):
    """Others kept changing the same customer while the change was being written."""

    def __init__(self, cust_id: str):
        super().__init__(f"others keep changing customer {cust_id!r}; nothing was written, try again")


class SegmentNotFound(SegmentationError):
    """The active model has no segment with this id."""

    def __init__(self, segment_id: str):
        super().__init__(f"the active model has no segment {segment_id!r}")
