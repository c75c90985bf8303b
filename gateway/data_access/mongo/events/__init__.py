"""The change log in MongoDB: outboxes, the log, and what moves the one into the other."""
