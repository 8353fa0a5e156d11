"""A planner in the loop's own process, for virtual time: a chunk arrives a given latency after its request."""

from __future__ import annotations

from collections.abc import Callable

from vla_runtime.core.errors import VlaError
from vla_runtime.core.protocols import Policy
from vla_runtime.core.types import ActionChunk, PlannerStatus, PlanRequest
from vla_runtime.plugins.planners.observe import Observer, plan

__all__ = ["InlinePlanner"]


class InlinePlanner:
    """Plans at once and hands the chunk over ``latency_ns(request seq)`` later. Latency 0: in the same tick.

    Where no observation can be made there is no chunk, and the status says why, as a planner process does.
    """

    def __init__(self, policy: Policy, observer: Observer, latency_ns: Callable[[int], int] = lambda seq: 0) -> None:
        self._policy = policy
        self._observer = observer
        self._latency_ns = latency_ns
        self._due: list[tuple[int, ActionChunk]] = []
        self._chunks = 0
        self._no_plan = ""

    def request(self, request: PlanRequest) -> None:
        try:
            observation = self._observer.observe(request, request.stamp_ns)
            chunk = plan(self._policy, observation, request.seq, self._chunks)
        except VlaError as error:
            self._no_plan = str(error)
            return
        self._no_plan = ""
        self._chunks += 1
        self._due.append((request.stamp_ns + self._latency_ns(request.seq), chunk))

    def poll(self, now_ns: int) -> list[ActionChunk]:
        ready = sorted((due for due in self._due if due[0] <= now_ns), key=lambda due: due[0])
        self._due = [due for due in self._due if due[0] > now_ns]
        return [chunk for _, chunk in ready]

    def status(self, now_ns: int) -> PlannerStatus:
        return PlannerStatus(up=True, failure=self._no_plan)

    def close(self) -> None:
        self._policy.close()
