"""A virtual episode that waits for its chunks: the runtime's own loop, turned inside out."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from queue import SimpleQueue

from vla_runtime.app.config import RobotConfig
from vla_runtime.app.simulate import Outcome, Scenario, simulate
from vla_runtime.core.protocols import Device
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import F32, U8

__all__ = ["Lane", "Seen"]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a policy is shown: camera name to u8[H, W, 3], the state f32[S] in physical units, the instruction's id."""

    images: Mapping[str, U8]
    state: F32
    instruction_id: int


class _Abandoned(BaseException):
    """Unwinds an episode that nobody waits for any more; no error of the robot's, so nothing on the way takes it."""


class Lane:
    """Runs one episode at a time of ``device`` under ``config``, exactly as ``vla-eval`` does.

    ``begin`` and ``answer`` return when the loop asks for a chunk, with what it shows, or with the ``Outcome`` when the
    episode is over. The episode runs in a thread of its own, which is never at work while the caller is: a simulated
    camera belongs to the thread that draws it.

    Raises (``begin``, ``answer``):
        whatever the episode raised.
    """

    def __init__(self, config: RobotConfig, device: Device, spec: PolicySpec) -> None:
        self._config, self._device = config, device
        self.spec, self.hash = spec, "learning"
        self._todo: SimpleQueue[Scenario | None] = SimpleQueue()
        self._chunks: SimpleQueue[F32 | None] = SimpleQueue()
        self._news: SimpleQueue[Seen | Outcome | BaseException] = SimpleQueue()
        self.running = False
        self._thread = threading.Thread(target=self._work, name="lane", daemon=True)
        self._thread.start()

    def begin(self, scenario: Scenario) -> Seen | Outcome:
        """Start an episode; one that is under way is abandoned."""
        self.abandon()
        self.running = True
        self._todo.put(scenario)
        return self._wait()

    def answer(self, chunk: F32) -> Seen | Outcome:
        """Give the chunk f32[H, A], in physical units, that was waited for."""
        assert self.running, "an episode that is over takes no chunk"
        self._chunks.put(chunk)
        return self._wait()

    def abandon(self) -> None:
        """End the episode under way, if there is one, without an outcome."""
        if self.running:
            self.running = False
            self._chunks.put(None)
            self._news.get()

    def close(self) -> None:
        """End the thread and close the device."""
        self.abandon()
        self._todo.put(None)
        self._thread.join()
        self._device.close()

    def infer(self, images: Mapping[str, U8], state: F32, instruction_id: int) -> F32:
        """The policy that the episode asks: it waits for ``answer``."""
        self._news.put(Seen(images, state, instruction_id))
        chunk = self._chunks.get()
        if chunk is None:
            raise _Abandoned
        return chunk

    def _wait(self) -> Seen | Outcome:
        news = self._news.get()
        if isinstance(news, Seen):
            return news
        self.running = False
        if isinstance(news, BaseException):
            raise news
        return news

    def _work(self) -> None:
        while (scenario := self._todo.get()) is not None:
            try:
                self._news.put(simulate(self._config, self._device, self, scenario))
            except BaseException as error:  # told to who waits, whatever it is
                self._news.put(error)
