"""Long trainings: a run directory, resuming, logs, the best checkpoint."""
