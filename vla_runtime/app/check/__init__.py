"""``vla-run --check``: is everything there that a run needs, and how late would it be? Nothing moves."""

from vla_runtime.app.check.report import CheckReport
from vla_runtime.app.check.run import check

__all__ = ["CheckReport", "check"]
