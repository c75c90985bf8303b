"""What can go wrong in training; alone, because commands catch it without loading pandas."""

from __future__ import annotations


class TrainingError(Exception):
    """Training cannot go on; the message is for the person who started it."""


class DataRefused(TrainingError):
    """The training data cannot be used."""
