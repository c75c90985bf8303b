"""The model as the gateway sees it: predictions, segments, versions, trainings, preview and drift."""
