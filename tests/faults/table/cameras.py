"""Cameras: what their messages carry, when they come, and the camera itself."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable

import msgspec

from vla_runtime.wire.frames import FrameMessage

from ..demands import Ends, Holds, Row, RunsOn, Trial
from ..evidence import Evidence
from ..relay import Fate, dropped, late, untouched
from ..run import Run
from ..setting import CHUNK_S, Setting, Times

__all__ = ["rows"]

_decode = msgspec.msgpack.Decoder(FrameMessage).decode
_encode = msgspec.msgpack.Encoder().encode
_FRAME_S = 1 / 30


def _changed(change: Callable[[FrameMessage], FrameMessage]) -> Fate:
    return lambda data: [(0.0, _encode(change(_decode(data))))]


def _payload(message: FrameMessage, payload: bytes) -> FrameMessage:
    return msgspec.structs.replace(message, payload=payload, crc32=zlib.crc32(payload))


def _corrupt(message: FrameMessage) -> FrameMessage:
    """A JPEG whose header is whole, in a message whose checksum is right: only decoding can tell."""
    return _payload(message, message.payload[: len(message.payload) // 3])


def _flipped(data: bytes) -> Iterable[tuple[float, bytes]]:
    """One bit of the picture, on the way."""
    middle = len(data) // 2
    return [(0.0, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])]


def _every_other(fate: Fate) -> Fate:
    count = itertools.count()
    return lambda data: fate(data) if next(count) % 2 else untouched(data)


def _most(fate: Fate) -> Fate:
    count = itertools.count()
    return lambda data: fate(data) if next(count) % 4 else untouched(data)


def _reordered() -> Fate:
    """Every other frame comes after the one that was captured after it."""
    return _every_other(late(1.5 * _FRAME_S))


def _frozen() -> Fate:
    """Every message is new, the picture in it is the first one's."""
    first: list[bytes] = []

    def fate(data: bytes) -> Iterable[tuple[float, bytes]]:
        message = _decode(data)
        first.append(message.payload)
        return [(0.0, _encode(_payload(message, first[0])))]

    return fate


def _resent() -> Fate:
    """A publisher that sends its last message again and again."""
    first: list[bytes] = []

    def fate(data: bytes) -> Iterable[tuple[float, bytes]]:
        first.append(data)
        return [(0.0, first[0])]

    return fate


def _side(fate: Fate) -> Callable[[Run], None]:
    def act(run: Run) -> None:
        assert run.side is not None
        run.side.fate = fate

    return act


def _stamped(seconds: float) -> Fate:
    """Captured so much later than it was, says the stamp."""
    shift_ns = round(seconds * 1e9)
    return _changed(lambda message: msgspec.structs.replace(message, capture_ns=message.capture_ns + shift_ns))


def _one_in_four(slot: int) -> Fate:
    """Frames captured in one of four slots of a frame's length: two slots lie 33 ms apart or more."""

    def fate(data: bytes) -> Iterable[tuple[float, bytes]]:
        return [(0.0, data)] if int(_decode(data).capture_ns * 1e-9 / _FRAME_S) % 4 == slot else []

    return fate


def _interleaved(run: Run) -> None:
    _front(_one_in_four(0))(run)
    _side(_one_in_four(2))(run)


def _both(run: Run) -> None:
    _front(untouched)(run)
    _side(untouched)(run)


def _twice(data: bytes) -> Iterable[tuple[float, bytes]]:
    return [(0.0, data), (0.0, data), (0.05, data)]


def _front(fate: Fate) -> Callable[[Run], None]:
    def act(run: Run) -> None:
        assert run.front is not None
        run.front.fate = fate

    return act


def _frames_never_go_back(trial: Trial, evidence: Evidence) -> str:
    assert evidence.episode is not None
    seen = [
        chunk.frames["front"]
        for tick in evidence.ticks(trial.injected_ns, trial.over_ns)
        for chunk, refusal in evidence.episode.chunks_by_tick.get(tick.index, ())
        if not refusal
    ]
    return "" if seen == sorted(seen) and len(seen) > 1 else f"plans were made of the front camera's frames {seen}"


def rows(times: Times) -> list[Row]:
    """A plan's rows end ``CHUNK_S`` after the newest frame that it was made of: then the pose is held."""
    apart = Setting()
    margin = times.margin
    gap = times.dead_man
    restore = _front(untouched)
    back = times.answer + 2 * _FRAME_S + margin
    held = Holds(CHUNK_S + margin, back, times.brake, cause="front")

    def front(name: str, fault: str, fate: Fate, demand: Holds | RunsOn, **more: object) -> Row:
        return Row(name, "cameras", fault, _front(fate), demand, apart, restore, **more)  # type: ignore[arg-type]

    def fails(how: str) -> Callable[[Run], None]:
        return lambda run: run.camera_fails(how)

    return [
        front("camera-dies", "one camera sends nothing more, then comes back", dropped, held, quick=True),
        front("camera-late", "frames come late, yet inside their age limit", late(0.3 * times.frame), RunsOn(gap)),
        front("camera-too-late", "frames come later than their age limit", late(times.frame + 0.1),
              Holds(CHUNK_S + margin, back, times.brake, "front.* ms old"), quick=True),
        front("camera-reordered", "every other frame is overtaken by the next", _reordered(), RunsOn(gap),
              also=_frames_never_go_back, quick=True),
        front("camera-duplicated", "every frame comes three times, once late", _twice, RunsOn(gap),
              also=_frames_never_go_back),
        front("camera-corrupt", "every JPEG is cut, with a right checksum", _changed(_corrupt), held, quick=True),
        front("camera-corrupt-half", "every other JPEG is cut", _every_other(_changed(_corrupt)), RunsOn(gap)),
        front("camera-bit-flip", "a bit of every message flips on the way", _flipped, held),
        front("camera-truncated", "every message ends early", lambda data: [(0.0, data[: len(data) // 2])], held),
        front("camera-garbage", "messages that are no frames", lambda data: [(0.0, b"\xc1" * 100)], held),
        front("camera-swapped", "frames that say they are another camera's",
              _changed(lambda message: msgspec.structs.replace(message, camera="side")), held, quick=True),
        front("camera-from-the-future", "capture stamps an hour ahead",
              _stamped(3600.0), held),
        front("camera-frozen", "new messages, fresh stamps, always the same picture", _frozen(),
              Holds(times.frozen + CHUNK_S + _FRAME_S + margin, back, times.brake, "front.*frozen"), quick=True),
        front("camera-resent", "the last message is sent again and again", _resent(), held),
        Row("camera-own-age", "cameras", "frames come later than this camera's own age limit",
            _side(late(times.side_frame + 0.03)), Holds(CHUNK_S + margin, back, times.brake, "side.* ms old"), apart,
            _side(untouched)),
        Row("camera-skew", "cameras", "each camera sends one frame in four, and never at the same time", _interleaved,
            Holds(CHUNK_S + margin, back, times.brake, "captured .* apart"), apart, _both),
        Row("camera-lags", "cameras", "one camera shows everything two frames later than the other",
            _side(late(2 * _FRAME_S)), RunsOn(gap), apart, _side(untouched)),
        front("camera-corrupt-most", "three of four JPEGs are cut", _most(_changed(_corrupt)), RunsOn(gap)),
        front("camera-renumbered", "frame numbers begin again at 0, as after a restart",
              _changed(lambda message: msgspec.structs.replace(message, seq=message.seq % 7)), RunsOn(gap)),
        Row("camera-raises", "cameras", "the camera's driver raises at every picture", fails("front raise"),
            held, apart, fails("")),
        Row("camera-blocks", "cameras", "the camera's driver blocks", fails("front block"), held, apart, fails("")),
        Row("camera-gone", "cameras", "one camera sends nothing more, for good", _front(dropped),
            Ends("stopped", 3, "no valid plan.*front", CHUNK_S + times.short_hold + times.settle + margin,
                 times.brake, 2),
            Setting(short_hold=True), restore),
    ]  # fmt: skip
