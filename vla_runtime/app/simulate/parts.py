"""What virtual episodes are made of: a device that knows tasks, and a policy or the device's own expert."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vla_runtime.app.config import RobotConfig
from vla_runtime.app.contract import check_contract
from vla_runtime.app.host.device import open_device
from vla_runtime.core.errors import ConfigError, choices
from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.core.protocols import Demonstrator, Device, Policy
from vla_runtime.core.spec import ActionSpec, CameraSpec, Normalisation, PolicySpec, StateSpec
from vla_runtime.plugins.planners.expert import Expert
from vla_runtime.plugins.planners.golden import check_golden
from vla_runtime.plugins.registry import open_policy as plugin_policy

__all__ = ["expert_for", "instructions_of", "open_demonstrator", "open_policy"]


def open_demonstrator(config: RobotConfig) -> Device:
    """The config's device, which must know tasks and how to do them.

    Raises:
        ConfigError: it does not.
    """
    device = open_device(config)
    if isinstance(device, Demonstrator) and device.tasks:
        return device
    device.close()
    kind = "none" if config.device is None else config.device.type
    raise ConfigError(
        f"robot {config.name!r}, device {kind!r}, knows no task; expected a device that names its tasks and "
        "demonstrates them (Demonstrator in core/protocols.py)",
        "$.device",
    )


def instructions_of(device: Device, task: str) -> tuple[str, ...]:
    """The instructions of ``task``.

    Raises:
        ConfigError: the device does not know it; the message names those it knows.
    """
    assert isinstance(device, Demonstrator)
    if task not in device.tasks:
        raise ConfigError(f"there is no task {task!r}; {choices(task, device.tasks)}", "--task")
    return tuple(device.tasks[task])


def open_policy(config: RobotConfig, instructions: Sequence[str]) -> Policy:
    """The config's policy file on one thread, checked as ``vla-run`` checks it, for every instruction.

    Raises:
        PolicyFileError: it cannot be opened or does not reproduce its golden sample.
        ContractMismatch: it is for another robot, or was not trained on an instruction.
    """
    given = config.policy
    policy = plugin_policy(given.type, Path(given.file), 1, given.sampling, "$.policy.type")
    for instruction in instructions:
        check_contract(policy.spec, config, instruction)
    check_golden(policy)
    return policy


def expert_for(config: RobotConfig, task: str, instructions: Sequence[str], chunk_length: int) -> Expert:
    """The contract of a policy that does ``task`` as the device does: all cameras and joint positions in, identity
    statistics.

    Raises:
        ContractMismatch: the config's replan interval is longer than the chunk.
    """
    count = len(config.joints)
    spec = PolicySpec(
        name=f"expert-{task}",
        chunk_length=chunk_length,
        dt_ns=config.step_ns,
        actions=tuple(ActionSpec(joint.name, joint.unit, *joint.position) for joint in config.joints),
        state=tuple(StateSpec(f"{joint.name}.position", joint.unit) for joint in config.joints),
        cameras=tuple(CameraSpec(camera.name, camera.height, camera.width) for camera in config.cameras),
        instruction=InstructionEncoding("table", len(instructions), tuple(instructions)),
        head="continuous",
        normalisation=Normalisation((0.0,) * count, (1.0,) * count, (0.0,) * count, (1.0,) * count),
        state_time="capture",
    )
    spec.check()
    for instruction in instructions:
        check_contract(spec, config, instruction)
    return Expert(spec)
