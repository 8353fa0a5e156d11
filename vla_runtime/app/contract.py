"""Does this policy belong to this robot? Every point of disagreement is named, with both sides."""

from __future__ import annotations

from vla_runtime.app.config import RobotConfig
from vla_runtime.core.errors import ContractMismatch
from vla_runtime.core.spec import PolicySpec

__all__ = ["check_contract"]


def check_contract(spec: PolicySpec, config: RobotConfig, instruction: str) -> None:
    """Compare everything the two sides must agree on.

    Raises:
        ContractMismatch: they do not; nothing may move.
    """
    differences = [*_actions(spec, config), *_state(spec, config), *_cameras(spec, config), *_time(spec, config)]
    try:
        spec.instruction.encode(instruction)
    except ContractMismatch as error:
        differences += error.differences
    if differences:
        raise ContractMismatch(differences)


def _actions(spec: PolicySpec, config: RobotConfig) -> list[str]:
    theirs = [action.name for action in spec.actions]
    ours = list(config.joint_names)
    if theirs != ours:
        kind = "joint order" if sorted(theirs) == sorted(ours) else "joints"
        return [f"{kind}: the policy moves {theirs}, the robot has {ours}"]
    return [
        f"unit of joint {joint.name!r}: the policy acts in {action.unit}, the robot in {joint.unit}"
        for action, joint in zip(spec.actions, config.joints, strict=True)
        if action.unit != joint.unit
    ]


def _state(spec: PolicySpec, config: RobotConfig) -> list[str]:
    measured = {f"{joint.name}.{what}" for joint in config.joints for what in ("position", "velocity")}
    measured |= set(config.extras)
    missing = [entry.name for entry in spec.state if entry.name not in measured]
    differences = [f"state: the policy reads {missing}, the robot measures {sorted(measured)}"] if missing else []
    acted = {action.name: action.unit for action in spec.actions}
    units = {
        f"{joint.name}.{what}": joint.unit
        for joint in config.joints
        for what in ("position", "velocity")
        if acted.get(joint.name) == joint.unit  # else the joint's unit is reported already
    }
    differences += [
        f"unit of state {entry.name!r}: the policy reads {entry.unit}, the robot measures {units[entry.name]}"
        for entry in spec.state
        if entry.name in units and entry.unit != units[entry.name]
    ]
    return differences


def _cameras(spec: PolicySpec, config: RobotConfig) -> list[str]:
    ours = {camera.name: camera for camera in config.cameras}
    differences = []
    for camera in spec.cameras:
        if camera.name not in ours:
            differences.append(f"camera: the policy looks through {camera.name!r}, the robot has {sorted(ours)}")
            continue
        theirs, found = (camera.height, camera.width), (ours[camera.name].height, ours[camera.name].width)
        if theirs != found and camera.resize == "none":
            differences.append(
                f"image size of camera {camera.name!r}: the policy takes {theirs[0]}x{theirs[1]}, "
                f"the robot sends {found[0]}x{found[1]}"
            )
    return differences


def _time(spec: PolicySpec, config: RobotConfig) -> list[str]:
    differences = []
    if spec.dt_ns != config.step_ns:
        differences.append(
            f"policy step: the policy was trained at {1e9 / spec.dt_ns:g} Hz (dt {spec.dt_ns / 1e6:g} ms), "
            f"the robot expects step_hz {config.policy.step_hz:g} ({config.step_ns / 1e6:g} ms)"
        )
    interval = config.policy.replan_interval
    if interval is not None and interval > spec.chunk_length:
        differences.append(
            f"replan_interval: the robot asks for {interval} steps of a chunk, "
            f"the policy's chunks have {spec.chunk_length}"
        )
    lead_ms, chunk_ms = config.chunks.actuation_lead_ms, spec.chunk_length * spec.dt_ns / 1e6
    if lead_ms >= chunk_ms:
        differences.append(
            f"actuation_lead_ms: commands are sent {lead_ms:g} ms ahead, the policy's chunks last {chunk_ms:g} ms"
        )
    return differences
