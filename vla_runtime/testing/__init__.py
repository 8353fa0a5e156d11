"""Conformance suites for plug-in authors: inherit one, provide ``make``, and let pytest collect the subclass.

    from vla_runtime.testing import DeviceContract

    class TestMyArm(DeviceContract):
        instruction = "reach the red block"

        def make(self):
            return MyArm(MyArm.Options(), context)

Every method named ``test_...`` states one law of the protocol in ``vla_runtime.core.protocols``. The suites use plain
asserts and need no test framework.
"""

from vla_runtime.testing.camera import CameraContract
from vla_runtime.testing.device import DeviceContract
from vla_runtime.testing.policy import PolicyContract
from vla_runtime.testing.robot import RobotContract

__all__ = ["CameraContract", "DeviceContract", "PolicyContract", "RobotContract"]
