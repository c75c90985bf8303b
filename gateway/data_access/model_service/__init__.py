"""Adapters of the model's ports: the model service over HTTP; the ports' docstrings hold for them."""
