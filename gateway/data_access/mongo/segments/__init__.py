"""Segments in MongoDB: what is counted of the customers, the snapshots of it, the moves between them, descriptions."""
