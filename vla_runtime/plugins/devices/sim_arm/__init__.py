"""A simulated arm with physics and rendered cameras (MuJoCo, extra ``sim``)."""

from vla_runtime.plugins.devices.sim_arm.device import Options, SimArm

__all__ = ["Options", "SimArm"]
