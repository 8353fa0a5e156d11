"""A learning rate for each part of a policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from vla_runtime.core.errors import ConfigError, choices

__all__ = ["parameter_groups", "set_rate"]

_SCALE = "scale"


def parameter_groups(policy: nn.Module, scales: Mapping[str, float]) -> list[dict[str, Any]]:
    """All parameters of ``policy``, as torch's optimisers take them: those of the parts that ``scales`` names, each
    with its factor, and the rest with 1. A part is one of the policy's modules, by the name of its attribute.

    Raises:
        ConfigError: the policy has no such part.
    """
    parts = {name: list(module.parameters()) for name, module in policy.named_children()}
    known = [name for name, parameters in parts.items() if parameters]
    for name in scales:
        if name not in known:
            raise ConfigError(f"the policy has no part {name!r}; {choices(name, known)}", "$.lr_scales")
    scaled = [{"params": parts[name], _SCALE: scale} for name, scale in scales.items()]
    named = {id(parameter) for group in scaled for parameter in group["params"]}
    rest = [parameter for parameter in policy.parameters() if id(parameter) not in named]
    return [group for group in (*scaled, {"params": rest, _SCALE: 1.0}) if group["params"]]


def set_rate(groups: list[dict[str, Any]], lr: float) -> None:
    """``lr`` for all ``groups`` of an optimiser, each times its own factor."""
    for group in groups:
        group["lr"] = lr * group[_SCALE]
