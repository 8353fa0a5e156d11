"""Our runtime beside other executors of action chunks, on one machine. ``python -m benchmarks.peers --help``."""
