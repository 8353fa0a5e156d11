"""How overlapping chunks become one motion: one file a strategy."""

from __future__ import annotations

from vla_runtime.control.strategies.blend import Blend
from vla_runtime.control.strategies.ensemble import Ensemble
from vla_runtime.control.strategies.latest import Latest
from vla_runtime.control.strategies.plan import Plan
from vla_runtime.control.strategies.strategy import Plans, Strategy

__all__ = ["Blend", "Ensemble", "Latest", "Plan", "Plans", "Strategy"]
