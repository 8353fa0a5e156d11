"""How long plans take in virtual time: pure functions of seed and request, each with the mean that was asked for."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.app.simulate import Latency
from vla_runtime.app.simulate.latency import CALM, RENEWAL, STORM, STORM_SHARE

MEAN = 200_000_000
seeds = st.integers(0, 2**32 - 1)
patterns = st.sampled_from(["constant", "jittered", "bursty"])


def drawn(latency: Latency, seed: int, count: int) -> list[int]:
    of = latency.under(seed)
    return [of(seq) for seq in range(count)]


@given(patterns, seeds, st.permutations(range(12)))
def test_a_latency_depends_on_seed_and_request_alone(pattern, seed, order) -> None:
    latency = Latency(MEAN, pattern)
    asked = latency.under(seed)
    assert {seq: asked(seq) for seq in order} == dict(enumerate(drawn(latency, seed, 12)))


@pytest.mark.parametrize("pattern", ["constant", "jittered", "bursty"])
def test_the_mean_is_the_one_that_was_asked_for(pattern: str) -> None:
    found = np.mean([drawn(Latency(MEAN, pattern), seed, 40) for seed in range(300)])
    assert found == pytest.approx(MEAN, rel=0.03)


@given(seeds, st.integers(0, 10**10))
def test_a_constant_latency_is_always_the_same(seed, mean) -> None:
    assert set(drawn(Latency(mean), seed, 5)) == {mean}


def test_a_jittered_one_is_uniform_within_a_half_of_the_mean() -> None:
    found = np.sort([drawn(Latency(MEAN, "jittered"), seed, 20) for seed in range(100)], axis=None) / MEAN
    assert 0.5 <= found[0] <= found[-1] <= 1.5
    assert np.quantile(found, [0.25, 0.5, 0.75]) == pytest.approx([0.75, 1.0, 1.25], abs=0.04)


def test_a_bursty_one_has_calm_and_storms_that_last() -> None:
    assert pytest.approx(1) == CALM * (1 - STORM_SHARE) + STORM * STORM_SHARE
    found = [drawn(Latency(MEAN, "bursty"), seed, 60) for seed in range(300)]
    assert {value for episode in found for value in episode} == {round(CALM * MEAN), round(STORM * MEAN)}
    runs = [len(list(run)) for episode in found for value, run in groupby(episode[10:]) if value == round(STORM * MEAN)]
    assert np.mean(runs) == pytest.approx(1 / (RENEWAL * (1 - STORM_SHARE)), rel=0.1)


def test_episodes_differ() -> None:
    for pattern in ("jittered", "bursty"):
        assert len({tuple(drawn(Latency(MEAN, pattern), seed, 30)) for seed in range(50)}) > 45
