import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plugins.sim_arm.world import arm, run_expert
from vla_runtime.core.errors import Refusal
from vla_runtime.core.protocols import Demonstrator
from vla_runtime.plugins.devices.sim_arm.tasks import TASKS, lay_out, parse

SEEDS = st.integers(0, 2**32 - 1)
EVERY = [(task, text) for task, texts in TASKS.items() for text in texts]


@pytest.mark.parametrize(("task", "text"), EVERY)
def test_every_instruction_names_its_task_and_a_colour(task, text):
    goal = parse(text)
    assert goal.task == task
    assert goal.colour in text


def test_an_unknown_instruction_is_refused_with_those_known():
    with pytest.raises(Refusal, match=r"reach the red blok.*did you mean 'reach the red block'"):
        arm().reset(0, "reach the red blok")


@given(SEEDS, st.sampled_from(sorted(TASKS)))
@settings(max_examples=60, deadline=None)
def test_blocks_begin_apart_and_on_the_table(seed, task):
    layout = lay_out(task, np.random.default_rng(seed))
    places = list(layout.blocks.values())
    for i, one in enumerate(places):
        assert math.dist((one.x, one.y), (0.34, 0.0)) < 0.2
        for other in places[:i]:
            assert math.dist((one.x, one.y), (other.x, other.y)) > 0.08
    assert (layout.mat is None) == (task == "track")
    assert (layout.table_speed != 0) == (task == "track")


@pytest.mark.parametrize("task", sorted(TASKS))
def test_the_beginning_depends_on_the_seed_and_not_on_the_colour(task):
    device = arm()
    begun = []
    for text in TASKS[task]:
        device.reset(5, text)
        begun.append(device._scene.snapshot().qpos)
    device.reset(6, TASKS[task][0])
    assert np.array_equal(begun[0], begun[1])
    assert np.array_equal(begun[0], begun[2])
    assert not np.array_equal(begun[0], device._scene.snapshot().qpos)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_the_expert_does_every_task_from_random_beginnings(task):
    device = arm()
    assert isinstance(device, Demonstrator)
    assert all(run_expert(device, seed, TASKS[task][seed % 3])[0] for seed in range(6))


@pytest.mark.parametrize("task", sorted(TASKS))
def test_doing_it_to_another_block_is_no_success(task):
    device = arm()
    texts = TASKS[task]
    assert not any(run_expert(device, seed, texts[seed % 3], told=texts[(seed + 1) % 3])[0] for seed in range(3))


@pytest.mark.parametrize("task", sorted(TASKS))
def test_an_arm_that_holds_still_does_not_succeed(task):
    device = arm()
    device.reset(3, TASKS[task][0])
    pose = device.measure()[0]
    while not device.task()[1]:
        device.step(pose)
    assert not device.task()[2]


def test_the_table_carries_the_blocks_along_in_track_only():
    device = arm()
    for task, moves in (("track", True), ("reach", False)):
        device.reset(1, TASKS[task][0])
        before = device._scene.block("green")
        for _ in range(250):
            device.step(None)
        after = device._scene.block("green")
        assert (np.linalg.norm(after - before) > 0.02) == moves
        radius = [math.dist(place[:2], (0.34, 0.0)) for place in (before, after)]
        assert abs(radius[0] - radius[1]) < 0.003


def test_pushing_moves_the_named_block_and_leaves_the_others():
    device = arm()
    device.reset(4, "push the blue block onto the mat")
    before = {colour: device._scene.block(colour) for colour in ("red", "green", "blue")}
    assert run_expert(device, 4, "push the blue block onto the mat")[0]
    moved = {colour: np.linalg.norm(device._scene.block(colour) - place) for colour, place in before.items()}
    assert moved["blue"] > 0.04
    assert moved["red"] < 0.005
    assert moved["green"] < 0.005


def test_without_a_command_no_time_counts_towards_the_task():
    device = arm()
    device.reset(0, TASKS["reach"][0])
    for _ in range(3000):
        device.step(None)
    assert device.task() == (0, False, False)


def test_the_more_lenient_the_sooner_it_is_reached():
    steps = [run_expert(arm(leniency=leniency), 2, "reach the green block") for leniency in (0.5, 1.0, 2.0, 4.0)]
    assert all(success for success, _ in steps)
    assert sorted((step for _, step in steps), reverse=True) == [step for _, step in steps]
    assert steps[0][1] > steps[-1][1]
