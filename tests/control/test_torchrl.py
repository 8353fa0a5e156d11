"""The runtime executes what torchrl's MultiStepActorWrapper executes, action by action.

Same policy, same env seed, same initial state; virtual time, no latency, the control rate is the policy's.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import TransformedEnv
from torchrl.envs.transforms import Compose, InitTracker
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import MultiStepActorWrapper

from exporters.graph import PolicyGraph
from vla_runtime.control.cause import Cause, Stop
from vla_runtime.control.clock import VirtualClock
from vla_runtime.control.health import LoopSettings
from vla_runtime.control.loop import ControlLoop, Parts
from vla_runtime.control.safety import JointLimits, default_chain
from vla_runtime.control.scheduler import Scheduler
from vla_runtime.core.types import F32, U8, Frame, RobotState
from vla_runtime.learn import toy
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.keys import ACTION, IMAGE, STATE
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.scaling import Scaling
from vla_runtime.plugins.planners.inline import InlinePlanner
from vla_runtime.plugins.planners.observe import Observer, StateReader

from .world import Recorder

STEPS, SEED = 40, 11
REPLAN = [1, 2, 4, 8, None]


def make_env():
    # More steps in a row than the episode has: success cannot cut it short.
    return toy.make_env([1], seed=SEED, success_steps=STEPS + 1)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """Random weights: unlike a trained policy's, no two rows of a chunk are alike."""
    random = torch.Generator().manual_seed(3)
    states, actions = torch.randn(500, 8, generator=random), 0.4 * torch.randn(500, 4, generator=random) + 0.1
    spec = make_spec(toy.facts(), states, actions)
    return Checkpoint(spec, build_policy(spec, seed=5).eval(), {})


class GraphPolicy:
    """The graph that is exported, run as it is."""

    hash = "graph"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.spec = checkpoint.spec
        self.chunks: list[F32] = []
        self._graph = PolicyGraph(checkpoint).eval()

    def infer(self, images: Mapping[str, U8], state: F32, instruction_id: int) -> F32:
        inputs = [torch.from_numpy(images[camera.name])[None] for camera in self.spec.cameras]
        with torch.no_grad():
            chunk = self._graph(*inputs, torch.from_numpy(state)[None], torch.tensor([instruction_id]))[0]
        self.chunks.append(chunk.numpy())
        return self.chunks[-1]

    def close(self) -> None: ...


class SteppedEnv:
    """ToyVLAEnv as robot and camera: each command is one step of the env."""

    name = toy.CAMERA

    def __init__(self, clock: VirtualClock) -> None:
        self.executed: list[np.ndarray] = []
        self._clock = clock
        self._env = make_env()
        self._now = self._env.reset()

    def read(self, now_ns: int) -> list[RobotState]:
        state = self._now[STATE][0].numpy().astype(np.float64)
        return [RobotState(state[: toy.ACTION_DIM], None, now_ns, len(self.executed), state[toy.ACTION_DIM :])]

    def write(self, command, now_ns: int) -> None:
        action = command.astype(np.float32)
        self.executed.append(action)
        self._now = self._env.step(TensorDict({ACTION: torch.from_numpy(action)[None]}, [1]))["next"]

    def latest(self) -> Frame:
        pixels = np.ascontiguousarray(self._now[IMAGE][0].permute(1, 2, 0).numpy())
        return Frame(pixels, self._clock.now(), len(self.executed))

    def reset(self, episode: int, seed: int, instruction: str) -> None: ...
    def stop(self, category) -> None: ...
    def close(self) -> None: ...


def torchrl_actions(checkpoint: Checkpoint, replan_interval: int | None) -> np.ndarray:
    """f32[STEPS, A], the actions that torchrl's own executor makes the env execute, read from the env's echo."""
    scaling = Scaling.from_spec(checkpoint.spec)
    env = TransformedEnv(make_env(), Compose(InitTracker(), scaling.observation_norm(), scaling.env_action()))
    actor = MultiStepActorWrapper(
        checkpoint.policy, n_steps=checkpoint.spec.chunk_length, replan_interval=replan_interval
    )
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        rollout = env.rollout(STEPS, actor, break_when_any_done=False)
    assert rollout.shape == (1, STEPS)
    assert not rollout["next", "done"].any()
    echo = rollout["next"][STATE] * scaling.state_std + scaling.state_mean
    return echo[0, :, : toy.ACTION_DIM].numpy()


def runtime_actions(checkpoint: Checkpoint, replan_interval: int | None) -> tuple[np.ndarray, list[F32]]:
    """f32[STEPS, A], what the control loop makes the env execute, and the policy's chunks."""
    spec, clock = checkpoint.spec, VirtualClock()
    env, policy = SteppedEnv(clock), GraphPolicy(checkpoint)
    observer = Observer(spec, {toy.CAMERA: env}, StateReader([s.name for s in spec.state], toy.JOINTS, toy.TARGETS), 0)
    wide = np.full(toy.ACTION_DIM, 1e6)
    limits = JointLimits(toy.JOINTS, -wide, wide, wide)
    scheduler = Scheduler(
        joints=toy.JOINTS, chunk_length=spec.chunk_length, dt_ns=spec.dt_ns, policy_hash=policy.hash,
        replan_interval=replan_interval,
    )  # fmt: skip

    def stop() -> Stop | None:
        return Stop("done", "enough", emergency=True) if len(env.executed) == STEPS else None

    parts = Parts(
        clock, env, InlinePlanner(policy, observer), scheduler, default_chain(limits, spec.dt_ns), Recorder(), stop
    )
    loop = ControlLoop(parts, LoopSettings(spec.dt_ns, limits, wide), toy.INSTRUCTION, 0)
    assert loop.run() == Cause("done", "enough")
    assert loop.metrics.interventions == {}
    assert loop.metrics.chunks_refused == {}
    return np.stack(env.executed), policy.chunks


@pytest.mark.parametrize("replan_interval", REPLAN)
def test_the_executed_actions_are_those_of_torchrl(checkpoint: Checkpoint, replan_interval: int | None) -> None:
    expected = torchrl_actions(checkpoint, replan_interval)
    executed, chunks = runtime_actions(checkpoint, replan_interval)
    assert executed.shape == expected.shape == (STEPS, toy.ACTION_DIM)
    assert np.abs(executed - expected).max() <= 1e-6
    # One plan for each interval; the last one is asked for in the tick that ends the run.
    assert len(chunks) == -(-(STEPS + 1) // (replan_interval or 8))
    # Nothing of this can pass by accident: a row early or late, or of another plan, is another action.
    assert min(np.abs(np.diff(chunk, axis=0)).max(axis=1).min() for chunk in chunks) > 1e-3
    assert min(np.abs(after - before).max() for before, after in pairwise(chunks)) > 1e-3


def test_every_replan_interval_executes_other_actions(checkpoint: Checkpoint) -> None:
    found = {k: runtime_actions(checkpoint, k)[0] for k in REPLAN}
    assert np.array_equal(found[8], found[None])
    for one in REPLAN[:-1]:
        for other in REPLAN[:-1]:
            assert one == other or np.abs(found[one] - found[other]).max() > 1e-2
