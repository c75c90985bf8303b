"""Trainings as background processes with a record each."""
