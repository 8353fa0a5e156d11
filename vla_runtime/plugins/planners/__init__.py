"""Planners: turn requests into chunks, in this process or in one of their own."""
