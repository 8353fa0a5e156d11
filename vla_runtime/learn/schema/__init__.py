"""The one place that knows what vision-language-action data look like: both layouts, the checks, and the metadata."""

from vla_runtime.learn.schema.facts import SchemaFacts
from vla_runtime.learn.schema.layout import to_nested, to_root
from vla_runtime.learn.schema.metadata import RobotMetadata
from vla_runtime.learn.schema.problem import Problem, SchemaError
from vla_runtime.learn.schema.validate import find_problems, validate

__all__ = [
    "Problem",
    "RobotMetadata",
    "SchemaError",
    "SchemaFacts",
    "find_problems",
    "to_nested",
    "to_root",
    "validate",
]
