"""The hot requests, predict and batch, on the direct route."""
