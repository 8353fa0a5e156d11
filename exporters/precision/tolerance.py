"""How far a file of reduced precision may be from the eager policy, in the actions' own units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

from vla_runtime.core.errors import ConfigError, choices
from vla_runtime.core.spec import PolicySpec

__all__ = ["DEFAULT", "FULL_TOLERANCE", "SHARE", "Tolerance", "full_tolerance", "parse_tolerance"]

FULL_TOLERANCE = 1e-5
"""Of an f32 file."""
SHARE = 0.01
"""Of the widest range among the actions of a unit: the bound where none is given."""


@dataclass(frozen=True)
class Tolerance:
    """What was asked for: one number for ``every`` unit, or some ``by_unit``; nothing of both is the default."""

    every: float | None = None
    by_unit: Mapping[str, float] = field(default_factory=dict)

    def bounds(self, spec: PolicySpec) -> dict[str, float]:
        """Unit to bound, for the units of ``spec``'s actions in their order.

        By default the bound of a unit is ``SHARE`` of the widest range that an action of this unit has in the training
        data: an error of one joint moves the hand as far as the same error of another, however little that one moved.

        Raises:
            ConfigError: a unit is named that no action has, or an action never moved, so that there is no default.
        """
        units = list(dict.fromkeys(action.unit for action in spec.actions))
        for unit in self.by_unit:
            if unit not in units:
                raise ConfigError(f"the unit {unit!r} given; {choices(unit, units)}", "--tolerance")
        bounds = {}
        for unit in units:
            widest = max(action.high - action.low for action in spec.actions if action.unit == unit)
            default = SHARE * widest if self.every is None else self.every
            bounds[unit] = self.by_unit.get(unit, default)
            if not bounds[unit] > 0:
                raise ConfigError(
                    f"no action in {unit} ever moved in the training data: name a bound, as {unit}=0.01", "--tolerance"
                )
        return bounds


DEFAULT = Tolerance()


def parse_tolerance(text: str) -> Tolerance:
    """``0.01``, or ``rad=0.02,m=0.001``.

    Raises:
        ConfigError: something else, or a number that is not above 0.
    """
    if "=" not in text:
        return Tolerance(_positive(text))
    pairs = [part.partition("=") for part in text.split(",")]
    return Tolerance(None, {unit.strip(): _positive(value) for unit, _, value in pairs})


def full_tolerance(given: Tolerance) -> float:
    """What was asked for of an f32 file.

    Raises:
        ConfigError: it is by unit.
    """
    if given.by_unit:
        units = ", ".join(given.by_unit)
        raise ConfigError(f"a bound in {units} given, expected one number: units are for a --precision", "--tolerance")
    return FULL_TOLERANCE if given.every is None else given.every


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (value > 0 and isfinite(value)):
        raise ConfigError(f"{text!r} given, expected more than 0: a number, or UNIT=NUMBER,...", "--tolerance")
    return value
