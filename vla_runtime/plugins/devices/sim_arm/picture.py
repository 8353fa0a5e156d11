"""Pictures of a scene, without a screen: through EGL, or OSMesa where that is asked for."""

from __future__ import annotations

from importlib import import_module
from threading import Lock
from typing import Any, Literal

import mujoco
import numpy as np

from vla_runtime.core.errors import ConfigError, DeviceLost
from vla_runtime.core.types import U8
from vla_runtime.plugins.devices.sim_arm.scene import Snapshot

__all__ = ["CAMERAS", "GL", "LARGEST", "Painter", "check_gl"]

GL = Literal["egl", "osmesa"]
CAMERAS = ("front", "wrist", "view")
LARGEST = (480, 640)
"""Height and width of the off-screen buffer."""
_PACKAGES = {"egl": "libegl1 and libgl1-mesa-dri", "osmesa": "libosmesa6"}
_SCENE_GEOMS = 200
_DRAWING = Lock()
"""One picture at a time: Mesa's software renderer crashes when two threads draw, though each has its own context."""


def check_gl(gl: GL) -> None:
    """Make sure that ``gl`` can draw here.

    Raises:
        ConfigError: its library is not installed; the message names the Debian packages that bring it.
    """
    _context(gl, 8, 8).free()


def _context(gl: GL, height: int, width: int) -> Any:
    try:
        context = import_module(f"mujoco.{gl}").GLContext(width, height)
        context.make_current()
        return context
    # PyOpenGL fails with whatever it trips over when the library is not there.
    except Exception as error:
        other = "osmesa" if gl == "egl" else "egl"
        raise ConfigError(
            f"{gl!r} cannot draw here ({type(error).__name__}: {error}); Debian and Ubuntu bring it with the packages "
            f"{_PACKAGES[gl]}. The other choice is {other!r} ({_PACKAGES[other]})",
            "$.device.options.gl",
        ) from error


class Painter:
    """Draws one camera's pictures. A GL context belongs to a thread: make and use a painter in one and the same."""

    def __init__(self, model: mujoco.MjModel, camera: str, height: int, width: int, gl: GL) -> None:
        self._model, self._data = model, mujoco.MjData(model)
        self._scene = mujoco.MjvScene(model, _SCENE_GEOMS)
        with _DRAWING:
            self._gl = _context(gl, height, width)
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        if self._context.currentBuffer != mujoco.mjtFramebuffer.mjFB_OFFSCREEN:
            raise DeviceLost("the renderer has no off-screen buffer")
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = model.camera(camera).id
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._pixels = np.empty((height, width, 3), np.uint8)

    def draw(self, snapshot: Snapshot) -> U8:
        """u8[H, W, 3] RGB."""
        data = self._data
        data.qpos[:], data.mocap_pos[0] = snapshot.qpos, snapshot.mat
        mujoco.mj_kinematics(self._model, data)
        mujoco.mj_camlight(self._model, data)
        every = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._option, None, self._camera, every, self._scene)
        with _DRAWING:
            self._gl.make_current()
            mujoco.mjr_render(self._rectangle, self._scene, self._context)
            mujoco.mjr_readPixels(self._pixels, None, self._rectangle, self._context)
        return np.ascontiguousarray(self._pixels[::-1])

    def close(self) -> None:
        """Release the context; call it in the painter's thread."""
        with _DRAWING:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
