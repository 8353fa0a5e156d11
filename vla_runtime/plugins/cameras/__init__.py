"""Cameras: where the planner's frames come from."""
