"""Devices: what a robot host drives."""
