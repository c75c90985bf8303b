"""Customers: reading, writing, listing, deleting and exporting them, each with its segment."""
