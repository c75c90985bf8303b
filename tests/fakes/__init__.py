"""What obeys a port of the product without what the real adapter stands on; `gateway` puts them together.

That a fake behaves as the adapter does is proved by a suite of `contracts`, which runs over both.
"""
