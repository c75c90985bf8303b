"""Metrics of servers with several processes: where these keep them, and how they are read."""
