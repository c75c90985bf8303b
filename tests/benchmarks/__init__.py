"""Measured speed: ``make bench`` on an otherwise idle machine with at least two cores."""
