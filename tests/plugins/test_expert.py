"""An expert in a policy's place: its chunks are stamped and filled as those of a policy that sees the same."""

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.plugins.planners.expert import Expert, expert_think
from vla_runtime.plugins.planners.inline import InlinePlanner
from vla_runtime.plugins.planners.observe import Observer, StateReader

from .policies import EXTRAS, JOINTS, MS, NOW, SPEC, Policy, cameras, frame, request

EXPERT = Expert(SPEC)
READER = StateReader([entry.name for entry in SPEC.state], JOINTS, EXTRAS)


class Device:
    """Commands its own time: (seconds ahead, twice that)."""

    def __init__(self) -> None:
        self.tasks = {"move": ("go",)}

    def demonstrate(self, ahead_s):
        assert (ahead_s >= 0).all()
        return np.stack([ahead_s, 2 * ahead_s], axis=1)


def planner(device_ns: int = NOW, latency_ns: int = 0, **frames) -> InlinePlanner:
    observer = Observer(SPEC, cameras(**frames), READER, 500 * MS)
    think = expert_think(EXPERT, Device(), lambda: device_ns)
    return InlinePlanner(None, observer, lambda seq: latency_ns, think=think)


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 20))
def test_row_i_is_the_experts_command_for_i_steps_after_the_oldest_capture(front, wrist, behind) -> None:
    inline = planner(NOW - behind * MS, front=frame(front), wrist=frame(wrist, (2, 3)))
    inline.request(request(5))
    (chunk,) = inline.poll(NOW)
    t0_ns = NOW - max(front, wrist) * MS
    assert chunk.t0_ns == t0_ns
    ahead = [max(0, t0_ns + i * SPEC.dt_ns - (NOW - behind * MS)) * 1e-9 for i in range(SPEC.chunk_length)]
    assert chunk.actions.dtype == np.float32
    assert chunk.actions.tolist() == np.float32([[s, 2 * s] for s in ahead]).tolist()


def test_the_chunk_says_whose_it_is_what_it_answers_and_what_was_seen() -> None:
    inline = planner()
    for seq in (5, 6):
        inline.request(request(seq))
    chunks = inline.poll(NOW)
    assert [(chunk.seq, chunk.request_seq) for chunk in chunks] == [(0, 5), (1, 6)]
    assert {chunk.policy_hash for chunk in chunks} == {EXPERT.hash}
    assert chunks[0].dt_ns == SPEC.dt_ns
    assert chunks[0].frames == {"front": 7, "wrist": 9}


def test_an_expert_without_a_fresh_frame_has_no_plan_like_any_policy() -> None:
    inline = planner(front=frame(600))
    inline.request(request())
    assert inline.poll(NOW) == []
    assert "camera 'front'" in inline.status(NOW).failure


def test_equal_contracts_have_equal_hashes_and_others_another() -> None:
    assert Expert(SPEC).hash == EXPERT.hash
    assert Expert(msgspec.structs.replace(SPEC, chunk_length=4)).hash != EXPERT.hash


def test_what_was_answered_is_told_at_once_and_what_was_not_never() -> None:
    shown = cameras(front=None)
    told = []
    observer = Observer(SPEC, shown, READER, 100 * MS)
    inline = InlinePlanner(
        Policy(), observer, lambda seq: 50 * MS, looked=lambda observation, now_ns: told.append((observation, now_ns))
    )
    inline.request(request(0))
    assert told == []
    shown["front"].frame = frame()
    inline.request(request(1))
    ((observation, now_ns),) = told
    assert now_ns == NOW
    assert observation.images["front"] is shown["front"].frame


def test_an_expert_has_no_policy_to_close() -> None:
    planner().close()
