"""The change log: what is written down of every change, how it gets there, and its views."""
