"""Adapters of the stores' ports on MongoDB; the ports' docstrings hold for them."""
