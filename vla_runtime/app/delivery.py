"""When a simulated camera's frames arrive, if they do: the fate of each frame as a pure function of its number.

No clock is read here, so real and simulated time, one process and another, all see the same fates.
"""

from __future__ import annotations

from hashlib import blake2b

from vla_runtime.core.protocols import DeviceCamera

__all__ = ["Delivery"]

_WORD = 8


class Delivery:
    """The fates of one camera's frames under ``seed``. Those of two frames, cameras or seeds are independent.

    Raises:
        ValueError: latency or jitter below 0, or a drop probability outside [0, 1].
    """

    def __init__(self, camera: DeviceCamera, seed: int) -> None:
        if not (camera.latency_ns >= 0 and camera.jitter_ns >= 0 and 0 <= camera.drop <= 1):
            raise ValueError(
                f"camera {camera.name!r} with latency {camera.latency_ns} ns, jitter {camera.jitter_ns} ns and drop "
                f"{camera.drop}, expected times of at least 0 and a drop from 0 to 1"
            )
        self._latency_ns, self._jitter_ns = camera.latency_ns, camera.jitter_ns
        self._lost_below = int(camera.drop * (1 << 8 * _WORD))
        self._hash = blake2b(f"{seed} {camera.name}".encode(), digest_size=2 * _WORD)

    def arrival_ns(self, seq: int, capture_ns: int) -> int | None:
        """When frame ``seq``, captured at ``capture_ns``, arrives; None if it is lost.

        capture + latency + u, u uniform in [0, jitter). With a jitter above the period a frame may overtake another.
        """
        frame = self._hash.copy()
        frame.update(f" {seq}".encode())
        digest = frame.digest()
        if int.from_bytes(digest[:_WORD], "big") < self._lost_below:
            return None
        share = int.from_bytes(digest[_WORD:], "big")
        return capture_ns + self._latency_ns + (share * self._jitter_ns >> 8 * _WORD)
