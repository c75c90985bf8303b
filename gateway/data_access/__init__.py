"""Adapters of the ports: MongoDB and the model service over HTTP."""
