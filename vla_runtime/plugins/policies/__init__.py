"""Policies: a file that turns an observation into a chunk."""
