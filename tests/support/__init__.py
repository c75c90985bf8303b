"""Servers, data, documents and assertions that tests of several levels share."""
