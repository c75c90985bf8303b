"""What can go wrong in training."""

from __future__ import annotations


class TrainingError(Exception):
    """Training cannot go on; the message is for the person who started it."""


class DataRefused(TrainingError):
    """The training data cannot be used."""
