"""A GRPO recipe as it stands in a YAML file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from vla_runtime.core.errors import ConfigError
from vla_runtime.learn.grpo.training import Settings

__all__ = ["GrpoRecipe"]

Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class GrpoRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is practised, from where, and how. The defaults are those of a simulated robot.

    ``env``, or ``robot`` (a shipped config's name or a YAML file) with its ``task``: one of them. ``init``: the
    checkpoint to begin with; for the toy task it may be left out, for a weak start. An iteration is ``groups`` groups
    of ``group_size`` episodes; of a robot's, ``lanes`` run at a time, in ``workers`` processes or Ray actors, for at
    most ``seconds`` of virtual time; of each chunk ``replan_interval`` rows are executed, ``latency_ms`` after it was
    asked for. ``levels``: options of the robot's device, of which each group of lanes has one set, so that some groups
    have an easier task. ``temperature``: of the tokens that are drawn; ``coherence``: the share of their noise that
    lasts an episode; ``explore``: the actions, by name, that are drawn and learnt, all if none is named. ``threads``
    left out: one for each core. ``lr_scales``: factors of the rate, by the name of a part of the policy. Evaluations
    act greedily, over ``episodes`` episodes of at most ``exam_seconds``, with weights of which each iteration keeps the
    share ``averaging``; these are the checkpoint's too.
    """

    method: Literal["grpo"] = "grpo"
    env: Literal["toy"] | None = None
    robot: str | None = None
    task: str | None = None
    init: str | None = None
    iterations: Count = 60
    groups: Count = 16
    group_size: Annotated[int, msgspec.Meta(ge=2)] = 8
    lanes: Count = 32
    workers: Count = 2
    collectors: Literal["local", "ray"] = "local"
    seconds: Positive = 5.2
    exam_seconds: Positive = 9.0
    replan_interval: Count = 4
    latency_ms: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    levels: Annotated[tuple[dict[str, Any], ...], msgspec.Meta(min_length=1)] = ({},)
    epochs: Count = 2
    batch_size: Count = 256
    lr: Positive = 5e-4
    lr_scales: dict[str, Positive] = {}
    averaging: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    clip_low: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.2
    clip_high: Positive = 0.28
    temperature: Positive = 0.5
    coherence: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.8
    explore: tuple[str, ...] = ()
    seed: Annotated[int, msgspec.Meta(ge=0, lt=1000)] = 0
    threads: Count | None = None
    evaluate_every: Annotated[int, msgspec.Meta(ge=0)] = 10
    episodes: Count = 200
    target_score: float | None = None

    def check(self) -> None:
        """Refuse what each value for itself allows.

        Raises:
            ConfigError: no source or two, a robot without its task or checkpoint, or numbers that do not divide.
        """
        if (self.env is None) == (self.robot is None):
            raise ConfigError(f"env {self.env!r} and robot {self.robot!r} given, expected one of them", "$")
        if self.robot is None:
            if self.task is not None:
                raise ConfigError(f"{self.task!r} given, a task is a robot's", "$.task")
            return
        for name in ("task", "init"):
            if getattr(self, name) is None:
                raise ConfigError("left out, expected with a robot", f"$.{name}")
        if self.lanes % (self.workers * self.group_size):
            raise ConfigError(
                f"{self.lanes} given, expected a multiple of workers x group_size, {self.workers * self.group_size}",
                "$.lanes",
            )
        if self.lanes // self.group_size % len(self.levels):
            raise ConfigError(
                f"{len(self.levels)} given, expected a part of the {self.lanes // self.group_size} groups of the lanes",
                "$.levels",
            )
        if self.groups * self.group_size % self.lanes:
            raise ConfigError(
                f"{self.groups} of {self.group_size} episodes do not fill whole rounds of {self.lanes} lanes",
                "$.groups",
            )

    @property
    def rounds(self) -> int:
        """Of one iteration: everything at once on the toy task, as many as fill it on a robot."""
        return 1 if self.env else self.groups * self.group_size // self.lanes

    def settings(self) -> Settings:
        """What ``Grpo`` takes."""
        names = (
            "iterations", "group_size", "epochs", "batch_size", "lr", "lr_scales", "averaging", "clip_low", "clip_high",
            "temperature",
        )  # fmt: skip
        return Settings(rounds=self.rounds, **{name: getattr(self, name) for name in names})
