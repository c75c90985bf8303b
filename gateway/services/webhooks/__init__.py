"""Webhooks: who is told of events, what is signed, how deliveries are made, tried again, and logged."""
