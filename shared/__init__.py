"""Definitions that both tiers need: the features, the wire contract, the error body. Imports neither tier."""
