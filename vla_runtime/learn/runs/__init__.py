"""Trainings that take long: a run directory, resuming, logs, the best checkpoint."""
