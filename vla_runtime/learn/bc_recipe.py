"""A behaviour-cloning recipe as it stands in a YAML file."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Annotated, Literal

import msgspec

from vla_runtime.core.errors import ConfigError, choices
from vla_runtime.core.spec import Head, ScalingMode
from vla_runtime.learn.architectures import DEFAULT, HEADS
from vla_runtime.learn.recipes import Recipe
from vla_runtime.learn.sets.options import SetOptions

__all__ = ["BcRecipe"]

Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
_OF_DATA = ("data_set", "augment", "state_time", "val_fraction")


class BcRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is cloned, by which policy, and how. The defaults are those of logged episodes, ``recipes.LOGS``.

    ``data``, a directory, or ``env``: one of them; ``data_set``: how another project's is read. ``head`` left out: the
    architecture's first. ``clip`` left out: gradients stay as they are. ``state_time`` left out: as recorded.
    ``threads`` left out: one for each core. ``evaluate_every`` 0: after the last step; ``episodes`` are those of an
    environment's evaluation. ``scaling``, ``keep`` (names that are not scaled) and ``clamp`` are the normalisation's.
    """

    method: Literal["bc"] = "bc"
    data: str | None = None
    data_set: SetOptions | None = None
    env: Literal["toy"] | None = None
    architecture: str = DEFAULT
    head: Head | None = None
    hidden_dim: Count = 256
    steps: Count = 4000
    batch_size: Count = 64
    lr: Positive = 1e-3
    warm_up: Annotated[int, msgspec.Meta(ge=0)] = 100
    weight_decay: NotNegative = 1e-4
    clip: Positive | None = 1.0
    augment: bool = False
    state_time: Literal["takeover"] | None = None
    val_fraction: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.05
    scaling: ScalingMode = "mean_std"
    keep: tuple[str, ...] = ()
    clamp: Positive | None = None
    seed: int = 0
    threads: Count | None = None
    evaluate_every: Annotated[int, msgspec.Meta(ge=0)] = 0
    episodes: Count = 200

    def check(self) -> None:
        """Refuse what each value for itself allows.

        Raises:
            ConfigError: no source or two, an unknown architecture, a head that it lacks, or something that has no
                meaning here.
        """
        if (self.data is None) == (self.env is None):
            raise ConfigError(f"data {self.data!r} and env {self.env!r} given, expected one of them", "$")
        if self.architecture not in HEADS:
            raise ConfigError(f"{self.architecture!r} given; {choices(self.architecture, HEADS)}", "$.architecture")
        if self.head is not None and self.head not in HEADS[self.architecture]:
            heads = ", ".join(HEADS[self.architecture])
            raise ConfigError(f"{self.head!r} given, {self.architecture} has: {heads}", "$.head")
        for name in _OF_DATA if self.env is not None else ():
            if getattr(self, name) != _DEFAULT[name]:
                raise ConfigError(f"{getattr(self, name)!r} has no meaning with an environment", f"$.{name}")

    def recipe(self) -> Recipe:
        """What ``recipes`` takes."""
        known = {field.name for field in fields(Recipe)}
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name in known}
        return Recipe(**values | {"clip": math.inf if self.clip is None else self.clip})


_DEFAULT = {field.name: field.default for field in msgspec.structs.fields(BcRecipe)}
