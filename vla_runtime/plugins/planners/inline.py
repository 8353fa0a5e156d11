"""A planner in the loop's own process, for virtual time: a chunk arrives a given latency after its request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vla_runtime.core.errors import VlaError
from vla_runtime.core.protocols import Policy
from vla_runtime.core.types import ActionChunk, Observation, PlannerStatus, PlanRequest
from vla_runtime.plugins.planners.observe import Observer, plan

__all__ = ["InlinePlanner", "Think"]

Think = Callable[[Observation, PlanRequest, int], ActionChunk]
"""What turns an observation, made for a request, into the chunk of that number."""


class InlinePlanner:
    """Plans at once and hands the chunk over ``latency_ns(request seq)`` later. Latency 0: in the same tick.

    It plans one chunk at a time, as a planner process does: a request that comes meanwhile waits until the loop next
    polls after that, and the newest one is taken. Where no observation can be made there is no chunk, and the status
    says why.

    Args:
        think: how a chunk is made of an observation; left out, ``policy`` is asked.
        looked: told each observation that was answered, and when.
    """

    def __init__(
        self,
        policy: Policy | None,
        observer: Observer,
        latency_ns: Callable[[int], int] = lambda seq: 0,
        *,
        think: Think | None = None,
        looked: Callable[[Observation, int], None] = lambda observation, now_ns: None,
    ) -> None:
        if (policy is None) == (think is None):
            raise ValueError("expected a policy or a think, not both")
        self._policy = policy
        self._observer = observer
        self._latency_ns = latency_ns
        self._think = think or self._infer
        self._looked = looked
        self._waiting: PlanRequest | None = None
        self._coming: ActionChunk | None = None
        self._chunks = 0
        self._no_plan = ""

    def request(self, request: PlanRequest) -> None:
        self._waiting = request
        if self._coming is None:
            self._begin(request.stamp_ns)

    def poll(self, now_ns: int) -> list[ActionChunk]:
        ready = []
        while self._coming is not None and self._coming.sent_ns <= now_ns:
            ready.append(self._coming)
            self._coming = None
            self._begin(now_ns)
        return ready

    def _begin(self, now_ns: int) -> None:
        """Plan what waits, if anything does."""
        request, self._waiting = self._waiting, None
        if request is None:
            return
        try:
            observation = self._observer.observe(request, now_ns)
            chunk = self._think(observation, request, self._chunks)
        except VlaError as error:
            self._no_plan = str(error)
            return
        self._no_plan = ""
        self._chunks += 1
        self._coming = replace(chunk, sent_ns=now_ns + self._latency_ns(request.seq))
        self._looked(observation, now_ns)

    def status(self, now_ns: int) -> PlannerStatus:
        return PlannerStatus(up=True, failure=self._no_plan)

    def close(self) -> None:
        if self._policy is not None:
            self._policy.close()

    def _infer(self, observation: Observation, request: PlanRequest, chunk_seq: int) -> ActionChunk:
        assert self._policy is not None
        return plan(self._policy, observation, request, chunk_seq)
