"""What comes in over HTTP or from files, checked once at the edge; derived from the data dictionary."""
