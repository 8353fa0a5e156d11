"""The loop in virtual time: from the measured pose to rest, whatever the robot and the planner do."""

from dataclasses import replace

import numpy as np
import pytest

from vla_runtime.control.cause import Cause, Stop
from vla_runtime.core.protocols import Planner as PlannerProtocol
from vla_runtime.core.protocols import Recorder as RecorderProtocol
from vla_runtime.core.protocols import Robot as RobotProtocol
from vla_runtime.core.protocols import StopCategory
from vla_runtime.core.types import Intervention, TaskStatus

from .world import (
    DT,
    MS,
    PERIOD,
    Planner,
    Recorder,
    Robot,
    World,
    assert_sent_only_what_may_be_sent,
    chunk,
    constant,
    rows,
    silent,
)

ENOUGH = Stop("done", "the duration is over")
POSE = (0.2, -0.1)


def first(count: int, then=silent, **wanted):
    """The first ``count`` requests get the constant plan ``wanted``, the others what ``then`` says."""
    plan = constant(*wanted.pop("at"), **wanted)
    return lambda request: plan(request) if request.seq < count else then(request)


def test_the_parts_of_this_world_meet_the_protocols() -> None:
    assert isinstance(Robot(), RobotProtocol)
    assert isinstance(Planner(silent), PlannerProtocol)
    assert isinstance(Recorder(), RecorderProtocol)


def test_without_a_plan_the_measured_pose_is_held_until_the_run_gives_up() -> None:
    world = World(silent, Robot(POSE))
    cause = world.run()
    assert set(world.commands) == {POSE}
    assert world.robot.writes[0][0] == world.start
    assert world.modes() == ["aligning", "stopping", "stopped"]
    assert cause == Cause("fault", "no valid plan for 0.5 s")
    assert world.after(495).mode == "aligning"
    assert world.after(500).mode == "stopping"
    assert world.robot.stops == [StopCategory.CONTROLLED]


def test_a_robot_that_is_moved_by_hand_is_held_at_its_first_measured_pose() -> None:
    robot = Robot(POSE, stuck=True)
    world = World(silent, robot)
    world.loop.tick(world.start)
    robot.position = (0.3, 0.3)
    world.clock.sleep_until(world.start + PERIOD)
    world.loop.tick(world.start + PERIOD)
    assert world.commands == [POSE, POSE]


def test_every_step_from_the_measured_pose_to_the_first_action_obeys_the_limits() -> None:
    world = World(constant(0.6, 0.1, delay_ns=30 * MS), Robot(POSE), {1_500 * MS: ENOUGH})
    assert world.run() == Cause("done", "the duration is over")
    assert_sent_only_what_may_be_sent(world.commands, POSE)
    assert world.commands[:6] == [POSE] * 6
    assert world.commands[6][0] == pytest.approx(0.205)
    assert world.commands[6][1] == pytest.approx(-0.08)
    assert world.commands[-1] == pytest.approx((0.6, 0.1))
    # 0.4 and float32's rounding at 0.005 a tick; that the policy's own command was sent is found in the next tick.
    arrived = next(tick for tick in world.ticks if tick.mode == "running")
    assert (arrived.now_ns - world.start - 30 * MS) // PERIOD in (80, 81)
    assert world.modes() == ["aligning", "running", "stopping", "stopped"]


def test_with_a_plan_at_hand_the_first_command_is_its_first_row() -> None:
    world = World(constant(0.2, -0.1, rise=0.001), Robot(POSE), {50 * MS: ENOUGH})
    world.run()
    assert world.commands[0] == tuple(rows(*POSE)[0].astype("f8").tolist())
    assert world.ticks[0].mode == "aligning"
    assert world.ticks[1].mode == "running"


@pytest.mark.parametrize("delay_ms", [0, 45])
def test_a_first_action_too_far_is_refused_and_nothing_leaves_the_measured_pose(delay_ms: int) -> None:
    world = World(constant(0.25, 0.2, delay_ns=delay_ms * MS), Robot(POSE), {1_000 * MS: ENOUGH})
    cause = world.run()
    assert cause.kind == "refused"
    for part in ("'elbow'", "0.2", "-0.1", "align_tolerance 0.25"):
        assert part in cause.text
    assert set(world.commands) <= {POSE}
    assert len(world.commands) == delay_ms // 5
    assert world.modes()[-1] == "stopped"
    assert world.robot.stops == [StopCategory.CONTROLLED]


def test_only_the_first_action_is_held_against_the_tolerance() -> None:
    world = World(first(1, constant(0.9, -0.1), at=POSE), Robot(POSE), {600 * MS: ENOUGH}, replan_interval=1)
    assert world.run() == Cause("done", "the duration is over")
    assert world.commands[-1][0] > 0.7
    assert_sent_only_what_may_be_sent(world.commands, POSE)


@pytest.mark.parametrize("pose", [(1.001, 0.0), (0.0, -2.5), (float("nan"), 0.0), (0.0, float("inf"))])
@pytest.mark.parametrize("answer", [silent, constant(0.9, 0.0)])
def test_a_start_outside_the_limits_is_refused_before_any_command(pose, answer) -> None:
    world = World(answer, Robot(pose), tolerance=(10.0, 10.0))
    cause = world.run()
    assert cause.kind == "refused"
    assert ("'base'" if pose[1] == 0.0 else "'elbow'") in cause.text
    assert world.commands == []
    assert world.modes() == ["stopped"]
    assert world.robot.stops == [StopCategory.CONTROLLED]


def test_a_start_without_any_state_sends_nothing_and_gives_up() -> None:
    world = World(constant(0.0, 0.0), Robot(silent_from_ns=0))
    cause = world.run()
    assert world.commands == []
    assert world.planner.requests == []
    assert cause == Cause("fault", "no state from the robot for 0.5 s")
    assert world.modes() == ["idle", "stopped"]
    assert world.robot.stops == [StopCategory.CONTROLLED]


def test_starved_the_last_command_is_held_and_a_valid_chunk_resumes_by_itself() -> None:
    def answer(request):
        # The second plan comes 100 ms after the first one's last row.
        delay = 0 if request.seq == 0 else 100 * MS if request.seq == 1 else 0
        return [(delay, chunk(request, rows(*POSE, rise=0.002)))]

    world = World(answer, Robot(POSE), {600 * MS: ENOUGH}, answer_timeout_ns=1_000 * MS)
    assert world.run().kind == "done"
    assert world.modes() == ["aligning", "running", "holding", "running", "stopping", "stopped"]
    held = [tick for tick in world.ticks if tick.mode == "holding"]
    assert {tick.now_ns for tick in held} == {world.start + ms * MS for ms in range(160, 260, 5)}
    assert {tick.command for tick in held} == {world.after(155).command}
    assert all(tick.wanted is None and tick.interventions == () for tick in held)
    assert world.after(260).mode == "running"
    assert world.loop.metrics.starved_ticks == 20
    assert_sent_only_what_may_be_sent(world.commands, POSE)


def test_a_chunk_that_resumes_is_approached_inside_the_limits() -> None:
    def answer(request):
        return [(0 if request.seq == 0 else 150 * MS, chunk(request, rows(0.2 if request.seq == 0 else 0.9, -0.1)))]

    world = World(answer, Robot(POSE), {800 * MS: ENOUGH}, answer_timeout_ns=1_000 * MS)
    world.run()
    assert "holding" in world.modes()
    assert_sent_only_what_may_be_sent(world.commands, POSE)
    assert Intervention("velocity", "base") in world.loop.metrics.interventions


def test_starved_for_too_long_the_run_comes_to_rest_with_a_fault() -> None:
    world = World(first(1, at=POSE), Robot(POSE))
    cause = world.run()
    assert cause == Cause("fault", "no valid plan for 0.5 s")
    assert world.modes() == ["aligning", "running", "holding", "stopping", "stopped"]
    # The last row ends at 160 ms and covered 155 ms; 500 ms of holding, 50 ms of settling.
    assert world.after(650).mode == "holding"
    assert world.after(655).mode == "stopping"
    assert world.after(700).mode == "stopping"
    assert world.after(705).mode == "stopped"
    assert world.robot.stops == [StopCategory.CONTROLLED]
    assert len(set(world.commands)) == 1


def test_only_refused_chunks_are_as_good_as_none() -> None:
    nan = np.full_like(rows(*POSE), np.nan)
    world = World(lambda request: [(0, chunk(request, nan))], Robot(POSE))
    assert world.run() == Cause("fault", "no valid plan for 0.5 s")
    assert set(world.commands) == {POSE}
    assert world.loop.metrics.chunks_refused == {"not finite": len(world.planner.requests)}
    assert world.recorder.refusals[0] == "not finite: row 0, base"
    assert world.loop.metrics.chunks_used == 0


def test_a_stale_state_is_a_fault_and_asks_for_category_one() -> None:
    world = World(constant(*POSE), Robot(POSE, silent_from_ns=1_200 * MS))
    cause = world.run()
    assert cause.kind == "fault"
    assert cause.text == "the robot's state is 105 ms old, allowed 100 ms"
    assert world.modes() == ["aligning", "running", "faulted"]
    assert world.robot.stops == [StopCategory.CONTROLLED_THEN_OFF]
    assert world.robot.writes[-1][0] == world.start + 295 * MS


def test_a_stop_decelerates_holds_and_asks_for_category_two() -> None:
    world = World(constant(*POSE, rise=0.003), Robot(POSE), {100 * MS: Stop("interrupted", "SIGINT")})
    assert world.run() == Cause("interrupted", "SIGINT")
    assert world.modes() == ["aligning", "running", "stopping", "stopped"]
    stopping = [tick for tick in world.ticks if tick.mode == "stopping"]
    assert len(stopping) == 10
    assert {tick.command for tick in stopping} == {world.after(95).command}
    assert stopping[0].stop == "interrupted: SIGINT"
    assert stopping[1].stop == ""
    assert world.robot.stops == [StopCategory.CONTROLLED]


def test_an_emergency_stops_at_once_and_asks_for_category_zero() -> None:
    world = World(constant(*POSE), Robot(POSE), {100 * MS: Stop("interrupted", "SIGINT twice", emergency=True)})
    assert world.run() == Cause("interrupted", "SIGINT twice")
    assert world.modes() == ["aligning", "running", "faulted"]
    assert world.robot.stops == [StopCategory.IMMEDIATE]
    assert world.robot.writes[-1][0] == world.start + 95 * MS


def test_an_emergency_cuts_a_controlled_stop_short() -> None:
    stops = {100 * MS: Stop("interrupted", "SIGINT"), 120 * MS: Stop("interrupted", "SIGINT twice", emergency=True)}
    world = World(constant(*POSE), Robot(POSE), stops)
    assert world.run() == Cause("interrupted", "SIGINT twice")
    assert world.after(120).mode == "faulted"
    assert world.robot.stops == [StopCategory.IMMEDIATE]


@pytest.mark.parametrize("emergency", [False, True])
def test_a_stop_before_the_first_command_leaves_the_robot_alone(emergency: bool) -> None:
    world = World(constant(*POSE), Robot(POSE), {0: Stop("interrupted", "SIGINT", emergency)})
    assert world.run().kind == "interrupted"
    assert world.commands == []
    assert len(world.ticks) == 1
    assert world.robot.stops == [StopCategory.IMMEDIATE if emergency else StopCategory.CONTROLLED]


@pytest.mark.parametrize("at_ms", [0, 100])
def test_a_robot_that_gives_up_is_a_fault(at_ms: int) -> None:
    world = World(constant(*POSE), Robot(POSE, lost_at_ns=(1_000 + at_ms) * MS))
    assert world.run() == Cause("fault", "the arm gave up")
    assert world.modes()[-1] == "faulted"
    assert world.robot.stops == [StopCategory.CONTROLLED_THEN_OFF]
    assert len(world.commands) == at_ms // 5


def test_a_task_that_is_done_ends_the_run() -> None:
    class Finisher(Robot):
        def read(self, now_ns):
            done = self.reads >= 20
            return [replace(state, task=TaskStatus(3, self.reads, done, done)) for state in super().read(now_ns)]

    world = World(constant(*POSE), Finisher(POSE))
    assert world.run() == Cause("done", "success")
    assert world.robot.stops == [StopCategory.CONTROLLED]


def test_requests_say_what_was_measured_and_for_which_episode() -> None:
    world = World(constant(*POSE), Robot(POSE), {300 * MS: ENOUGH}, replan_interval=2, first_request=40)
    world.run()
    assert [request.seq for request in world.planner.requests] == list(range(40, 40 + len(world.planner.requests)))
    assert {(request.instruction, request.episode) for request in world.planner.requests} == {("go", 3)}
    assert all(request.state.stamp_ns == request.stamp_ns for request in world.planner.requests)
    assert [seq for _, seq in world.recorder.asked] == [request.seq for request in world.planner.requests]
    assert {tick.index: tick.request_seq for tick in world.ticks if tick.request_seq >= 0} == dict(world.recorder.asked)


def test_no_plan_is_asked_for_once_the_run_is_stopping() -> None:
    world = World(constant(*POSE), Robot(POSE), {100 * MS: ENOUGH}, replan_interval=1)
    world.run()
    stopping = world.start + 100 * MS
    assert max(request.stamp_ns for request in world.planner.requests) <= stopping


def test_every_tick_begins_on_its_deadline_and_is_recorded_once() -> None:
    world = World(constant(*POSE), Robot(POSE), {200 * MS: ENOUGH})
    world.run()
    assert [tick.now_ns for tick in world.ticks] == [world.start + k * PERIOD for k in range(len(world.ticks))]
    assert [tick.index for tick in world.ticks] == list(range(len(world.ticks)))
    assert [tick.state_seq for tick in world.ticks] == [seq for _, seq in world.recorder.seen]
    assert {(tick.late_ns, tick.compute_ns) for tick in world.ticks} == {(0, 0)}
    assert world.loop.metrics.ticks == len(world.ticks)
    assert sum(world.loop.metrics.mode_ns.values()) == world.ticks[-1].now_ns - world.start


def test_a_tick_says_what_was_wanted_sent_and_changed() -> None:
    world = World(constant(0.6, -0.1), Robot(POSE), {50 * MS: ENOUGH})
    world.run()
    tick = world.ticks[0]
    assert tick.wanted == tuple(rows(0.6, -0.1)[0].astype("f8").tolist())
    assert tick.command == world.robot.writes[0][1]
    assert Intervention("velocity", "base") in tick.interventions
    assert tick.chunk_seq == 0
    counted = world.loop.metrics.interventions_by_rule()
    assert counted["velocity"] == sum(len(tick.interventions) for tick in world.ticks)


def test_between_rows_the_command_is_interpolated() -> None:
    world = World(constant(*POSE, rise=0.004), Robot(POSE), {100 * MS: ENOUGH})
    world.run()
    for ms in range(0, 95, 5):
        assert world.after(ms).command == pytest.approx((0.2 + 0.004 * ms / 20, -0.1 + 0.004 * ms / 20), abs=1e-7)
    assert DT == 20 * MS


def test_a_request_tells_what_was_measured_before_if_the_policy_looks_back() -> None:
    for span_ms, count in ((0, None), (50, 11)):
        world = World(constant(0.0, 0.0), stops={300 * MS: Stop("done", "enough")}, history_ns=span_ms * MS)
        world.run()
        track = world.planner.requests[-1].history
        if count is None:
            assert track is None
        else:
            assert (
                track.stamps_ns.tolist()
                == [world.planner.requests[-1].stamp_ns - k * PERIOD for k in range(count)][::-1]
            )
