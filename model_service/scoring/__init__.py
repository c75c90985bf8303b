"""Scoring customers: the pipeline and its compiled form, predictions, explanations and counterfactuals."""
