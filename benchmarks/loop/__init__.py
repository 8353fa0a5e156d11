"""The control loop against a bare C loop, interleaved on one machine. ``python -m benchmarks.loop --help``."""
