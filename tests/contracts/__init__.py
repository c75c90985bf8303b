"""What every adapter of a port does: each suite runs over the fake and over the real adapter."""
