"""What access needs in MongoDB: API keys, one-time tokens, idempotency keys, rate limits."""
