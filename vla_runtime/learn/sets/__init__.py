"""Readers of other projects' data sets."""
