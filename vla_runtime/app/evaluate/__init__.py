"""Success rates and motion quality of a policy, from many virtual episodes. docs/evaluation.md defines every number."""

from vla_runtime.app.evaluate.jobs import FIRST_SEED, EvaluateOptions
from vla_runtime.app.evaluate.report import EvaluationReport
from vla_runtime.app.evaluate.run import evaluate

__all__ = ["FIRST_SEED", "EvaluateOptions", "EvaluationReport", "evaluate"]
