"""Training: from a CSV file to a model version in the store."""
