"""Names of the metadata records in an episode."""

__all__ = ["END", "METADATA"]

METADATA = "vla_runtime"
"""Begins every episode: whatever the run knew when it began."""
END = "vla_runtime_end"
"""Ends a finished one: what was written and what was lost."""
