"""The clock that stamps a host's states: ours, and that is checked, or another machine's, which is followed."""

from __future__ import annotations

from vla_runtime.core.errors import Refusal
from vla_runtime.wire.offset import ClockOffset, Offset

__all__ = ["HostClock"]

_EVERY_NS = 500_000_000


class HostClock:
    """``remote``: it is another machine's."""

    def __init__(self, remote: bool) -> None:
        self.remote = remote
        self._offset = ClockOffset()
        self._ask_ns = 0

    def heard(self, sent_ns: int, theirs_ns: int, received_ns: int) -> None:
        """The host read ``theirs_ns`` between our ``sent_ns`` and ``received_ns``."""
        self._offset.exchange(sent_ns, theirs_ns, received_ns)

    def check(self, sent_ns: int, theirs_ns: int, received_ns: int) -> None:
        """Raises Refusal: a clock said to be ours read what ours cannot have shown in between."""
        if self.remote or sent_ns <= theirs_ns <= received_ns:
            return
        ahead_s = (theirs_ns - (sent_ns + received_ns) // 2) / 1e9
        raise Refusal(
            f"the robot host's clock is {abs(ahead_s):.3f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's: "
            "it runs on another one; set $.robot.options.clock: remote"
        )

    def due(self, now_ns: int) -> bool:
        """Whether it is time to ask again; true once every half second, for another machine's."""
        if not self.remote or now_ns < self._ask_ns:
            return False
        self._ask_ns = now_ns + _EVERY_NS
        return True

    def offset(self, now_ns: int) -> Offset | None:
        """Their clock minus ours; None if it is ours, or not known."""
        return self._offset.at(now_ns) if self.remote else None

    def ours(self, stamp_ns: int, now_ns: int) -> int:
        """Their ``stamp_ns`` on our clock, and not later than now."""
        offset = self.offset(now_ns)
        return stamp_ns if offset is None else min(stamp_ns - offset.ns, now_ns)

    def theirs(self, now_ns: int) -> int:
        """Now, on their clock."""
        offset = self.offset(now_ns)
        return now_ns if offset is None else now_ns + offset.ns
