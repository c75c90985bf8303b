"""Definitions that both tiers need: the features, the wire contract, the error body. Imports neither tier.

Types of the wire are ``typing_extensions.TypedDict``: pydantic takes ``typing.TypedDict`` only from Python 3.12 on.
"""
