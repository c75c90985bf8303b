"""What every adapter of a port does: each suite runs over the fake and the real adapter, so that neither can drift.

Subclass a suite in a test module and give it the fixture that it names, empty.
"""
