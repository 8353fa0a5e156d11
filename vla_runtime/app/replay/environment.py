"""Execute the actions that the robot executed on a fresh environment, and compare states and success."""

from __future__ import annotations

import msgspec
import numpy as np

from vla_runtime.app.replay.finding import Finding, distance, logged_config
from vla_runtime.core.errors import LogError
from vla_runtime.core.types import F64, RobotState
from vla_runtime.episode.reader import Episode
from vla_runtime.plugins.registry import load_plugin

__all__ = ["replay_environment"]

_ENVIRONMENT_DEVICES = {"toy": "toy_vla"}


def replay_environment(episode: Episode, environment: str) -> Finding:
    """Execute the actions that the robot executed on a fresh environment; states and success must come out the same.

    Raises:
        LogError: the episode was made on another device, or a step of it is not in the log.
    """
    config = logged_config(episode)
    wanted = _ENVIRONMENT_DEVICES[environment]
    if config.device is None or config.device.type != wanted:
        found = "no device of ours" if config.device is None else f"device {config.device.type!r}"
        raise LogError(f"{episode.path} was made on {found}; --env {environment} replays episodes of {wanted!r}")
    replay_actions = load_plugin("envs", environment)
    device = load_plugin("devices", wanted)
    options = msgspec.convert(config.device.options, device.Options)
    steps = _steps(episode)
    finding = Finding()
    if not steps:
        raise LogError(f"{episode.path} holds no executed step: {episode.note}")
    actions = [state.position.astype(np.float32) for state in steps]
    states, successes = replay_actions(int(episode.metadata["seed"]), actions, options)
    for index, (state, again, success) in enumerate(zip(steps, states, successes, strict=True)):
        assert state.task is not None
        logged: F64 = np.concatenate([state.position, state.extras])
        finding.compared += 1
        if logged.astype(np.float32).tobytes() != again.tobytes():
            finding.differ(f"step {index + 1}: the state is {again}, the log says {logged}", distance(again, logged))
        if success != state.task.success:
            finding.differ(f"step {index + 1}: success is {success}, the log says {state.task.success}")
    finding.details["success"] = bool(successes[-1])
    return finding


def _steps(episode: Episode) -> list[RobotState]:
    """The state after each step of the environment, in order."""
    by_step: dict[int, RobotState] = {}
    for group in episode.states_by_tick.values():
        for state in group:
            if state.task is not None and state.task.step > 0:
                by_step.setdefault(state.task.step, state)
    missing = sorted(set(range(1, max(by_step, default=0) + 1)) - set(by_step))
    if missing:
        raise LogError(f"{episode.path} lacks the state after step {missing[0]}: the robot's host was not heard then")
    return [by_step[step] for step in sorted(by_step)]
