"""Comparing many customers with a model: who moves between two versions, and how far the base has drifted."""
