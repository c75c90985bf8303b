"""Who may call, how often, how many at once, and what happens when a request is repeated."""
