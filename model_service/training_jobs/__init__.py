"""Trainings as background processes: each has a folder with its record, its log and, while it lives, a lock."""
