"""A training that is quick: a random walk towards a weight, with all that makes resuming hard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from vla_runtime.learn import toy
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.keys import ACTION, STATE
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.runs.run import RunOptions, RunReport, run

RECIPE = {"method": "walk", "steps": 12, "lr": 0.1}


class Walk:
    """Its own generator draws the noise; ``scores`` by step are those of the evaluation, else the walk's place."""

    def __init__(
        self,
        steps: int = 12,
        *,
        scores: Mapping[int, float] | None = None,
        before_step: Callable[[int], None] = lambda step: None,
        loss: Callable[[int], float] = lambda step: 1.0 / step,
    ) -> None:
        self.steps, self.step_number = steps, 0
        self.generator = torch.Generator().manual_seed(0)
        self.place = torch.zeros(3, dtype=torch.float64)
        self._scores, self._before_step, self._loss = scores, before_step, loss
        data = toy.collect(2, 4)
        self._spec = make_spec(toy.facts(), data[STATE], data[ACTION])
        self._policy = build_policy(self._spec, seed=0, hidden_dim=4)

    def step(self) -> dict[str, float]:
        self._before_step(self.step_number)
        self.place += torch.randn(3, generator=self.generator, dtype=torch.float64)
        self.step_number += 1
        return {"loss": self._loss(self.step_number), "place": self.place[0].item()}

    def evaluate(self) -> dict[str, float]:
        score = self.place[0].item() if self._scores is None else self._scores[self.step_number]
        return {"score": score, "twice": 2.0 * score}

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self._spec, self._policy, {"hidden_dim": 4}, {"method": "walk", "steps": self.step_number})

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step_number, "place": self.place.clone(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step_number, self.place = state["step"], state["place"].clone()
        self.generator.set_state(state["generator"])


def walk(out: Path, *, resume: bool = False, **options: Any) -> tuple[Walk, RunReport]:
    """A run of a walk; options of ``Walk`` and of ``RunOptions``."""
    of_walk = {name: options.pop(name) for name in ("steps", "scores", "before_step", "loss") if name in options}
    training = Walk(**of_walk)
    return training, run(training, RunOptions(out, quiet=True, resume=resume, **options), RECIPE)
