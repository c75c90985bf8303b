"""What the worker does for the customers' segments: pending ones get theirs, and all are scored anew by a new model."""
