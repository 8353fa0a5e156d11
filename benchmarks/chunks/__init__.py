"""Executors of action chunks under delay: success, smoothness, reaction. ``python -m benchmarks.chunks --help``."""
