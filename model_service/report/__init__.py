"""Plots and the report of a version; loaded by training and by the drawing process, never by serving."""
