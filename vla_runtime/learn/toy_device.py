"""ToyVLAEnv as a device: what ``vla-host`` drives to run the toy policy end to end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import torch
from tensordict import TensorDict

from vla_runtime.core.protocols import DeviceCamera, DeviceContext, StopCategory
from vla_runtime.core.types import F32, F64, U8
from vla_runtime.learn import toy
from vla_runtime.learn.keys import ACTION, IMAGE, STATE

__all__ = ["Options", "ToyVLADevice", "replay_actions"]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Success: ``success_steps`` executed actions in a row within ``tolerance`` of the target, before ``max_steps``."""

    success_steps: int = 4
    tolerance: float = 0.1
    max_steps: int = 100


class ToyVLADevice:
    """One unbatched ToyVLAEnv with joints a0..a3, the target as extras and one 16x16 camera.

    A command is the action: float32, clamped to the action spec. The measured position is the env's echo of the last
    executed action, and there is no velocity. Once the episode is done, by success or at ``max_steps``, it no longer
    advances until ``reset``. Uses one torch thread for the whole process: these tensors are tiny.
    """

    Options = Options
    joints = toy.JOINTS
    extras = toy.TARGETS
    period_ns = toy.PERIOD_NS

    def __init__(self, options: Options, context: DeviceContext | None = None) -> None:
        torch.set_num_threads(1)
        ours = DeviceCamera(toy.CAMERA, toy.IMAGE_SIZE, toy.IMAGE_SIZE, 1e9 / toy.PERIOD_NS)
        configured = {camera.name: camera for camera in context.cameras} if context else {}
        camera = configured.get(toy.CAMERA, ours)
        self.cameras = (replace(camera, height=ours.height, width=ours.width),)
        self._options = options
        self._env = toy.make_env(success_steps=options.success_steps, tolerance=options.tolerance)
        space = self._env.action_spec.space
        self._low, self._high = space.low.numpy(), space.high.numpy()
        self.reset(0)

    def reset(self, seed: int, instruction: str = "") -> None:
        """Begin the episode of ``seed``: the same target and the same images every time, whatever the instruction."""
        self._env.set_seed(seed)
        self._step = 0
        self._success = False
        self._look(self._env.reset())

    def step(self, command: F64 | None) -> None:
        """Execute ``command`` f64[4]; None, or an episode that is done, changes nothing.

        Raises:
            ValueError: wrong shape, or not finite.
        """
        if command is None or self._done:
            return
        command = np.asarray(command)
        if command.shape != (toy.ACTION_DIM,) or not np.isfinite(command).all():
            raise ValueError(f"command {command} given, expected {toy.ACTION_DIM} finite values")
        action = np.clip(command.astype(np.float32), self._low, self._high)
        after = self._env.step(TensorDict({ACTION: torch.from_numpy(action)}, []))["next"]
        self._step += 1
        self._success = bool(after["success"])
        self._look(after)

    def measure(self) -> tuple[F64, F64 | None, F64]:
        """Position f64[4] (the last executed action), no velocity, target f64[4]."""
        return self._state[: toy.ACTION_DIM].copy(), None, self._state[toy.ACTION_DIM :].copy()

    def task(self) -> tuple[int, bool, bool]:
        """(steps taken, done, success)."""
        return self._step, self._done, self._success

    def capture(self, camera: str) -> Callable[[], U8]:
        """The env's image of now, u8[16, 16, 3] when called.

        Raises:
            KeyError: no such camera.
        """
        if camera != toy.CAMERA:
            raise KeyError(f"no camera {camera!r}, expected {toy.CAMERA!r}")
        image = self._image
        return lambda: image

    def stop(self, category: StopCategory) -> None:
        """Nothing moves by itself here."""

    def close(self) -> None:
        """Nothing to release."""

    @property
    def _done(self) -> bool:
        return self._success or self._step >= self._options.max_steps

    def _look(self, observation: TensorDict) -> None:
        self._state = observation[STATE].numpy().astype(np.float64)
        self._image = np.ascontiguousarray(observation[IMAGE].permute(1, 2, 0).numpy())


def replay_actions(seed: int, actions: Sequence[F32 | F64], options: Options) -> tuple[F32, list[bool]]:
    """The states that ``actions`` (T of f32[4]) lead to on a fresh env: f32[T, 8], and success after each.

    Pure: written against torchrl's env alone, so a log made with ``ToyVLADevice`` is checked by something else. Actions
    after the end of the episode leave the last state standing, as the device does.
    """
    env = toy.make_env(success_steps=options.success_steps, tolerance=options.tolerance)
    env.set_seed(seed)
    now = env.reset()
    states: list[F32] = []
    successes: list[bool] = []
    for count, action in enumerate(actions):
        if count < options.max_steps and not (successes and successes[-1]):
            executed = torch.as_tensor(np.asarray(action, dtype=np.float32))
            now = env.step(now.set(ACTION, env.action_spec.project(executed)))["next"]
            successes.append(bool(now["success"]))
            now = now.exclude("reward")
        else:
            successes.append(successes[-1])
        states.append(now[STATE].numpy().copy())
    return np.array(states, dtype=np.float32).reshape(len(states), 2 * toy.ACTION_DIM), successes
