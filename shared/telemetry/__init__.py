"""How processes can be watched: lines of the log, traces."""
