"""Tier 1: the Flask gateway. Customers in MongoDB, predictions forwarded to the model service."""
