"""The base of the family, and input that breaks a rule."""

from __future__ import annotations

from collections.abc import Sequence

from shared.problems import FieldError


class SegmentationError(Exception):
    """The base of the family; the message is fit for a client.

    Attributes
    ----------
    unsure : whether what was asked for may have been done all the same, as when no answer came in time.
    """

    unsure = False


def is_refusal(error: BaseException) -> bool:
    """Whether an error says for sure that nothing was done."""
    return isinstance(error, SegmentationError) and not error.unsure


class InvalidInput(SegmentationError):
    """The caller's data break a rule."""

    def __init__(self, errors: Sequence[FieldError], detail: str = "the request breaks the rules listed in errors"):
        super().__init__(detail)
        self.errors = list(errors)
