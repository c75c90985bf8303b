"""What ``make run`` and the tests need beside the product: a real mongod, and the start of everything at once."""
