"""The receivers of webhooks: HTTP to addresses that callers name."""
