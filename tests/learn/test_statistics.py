"""Statistics taken in one pass are those that numpy gives with all data at hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vla_runtime.core.spec import ScalingMode
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.moments import Moments
from vla_runtime.learn.store.quantiles import Sketch
from vla_runtime.learn.store.statistics import Running, summary

from .recorded import Recorded


def parts_of(values: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    """The same rows in order, cut at random places; some parts are empty."""
    cuts = np.sort(np.random.default_rng(seed).integers(0, len(values) + 1, 12))
    return np.split(values, cuts)


@pytest.mark.parametrize("offset", [0.0, 1e6], ids=str)
def test_mean_and_std_of_merged_parts_are_numpys_even_far_from_zero(offset: float) -> None:
    values = offset + np.random.default_rng(1).normal(size=(5000, 3)) * [1e-3, 1.0, 50.0]
    for seed in range(3):
        found = Moments.of_all(map(Moments.of, parts_of(values, seed)), 3)
        assert found.count == 5000
        np.testing.assert_allclose(found.mean, values.mean(0), rtol=1e-13, atol=1e-12)
        np.testing.assert_allclose(found.std, values.std(0), rtol=1e-6 if offset else 1e-12)
        assert np.array_equal(found.low, values.min(0))
        assert np.array_equal(found.high, values.max(0))


def test_merging_is_associative_up_to_rounding_and_nothing_adds_nothing() -> None:
    a, b, c = (Moments.of(np.random.default_rng(i).normal(i, 1 + i, (50, 2))) for i in range(3))
    left, right = a.merge(b).merge(c), a.merge(b.merge(c))
    np.testing.assert_allclose(left.squares, right.squares, rtol=1e-12)
    none = Moments.none(2)
    for same in (a.merge(none), none.merge(a)):
        assert (same.count, *same.mean, *same.squares, *same.low) == (a.count, *a.mean, *a.squares, *a.low)
    assert none.merge(none).count == 0


def test_quantiles_of_few_values_are_numpys_own() -> None:
    values = np.random.default_rng(2).normal(size=(8191, 2))
    sketch = Sketch(2)
    for part in parts_of(values):
        sketch.add(part)
    for q in (0.0, 0.01, 0.5, 0.99, 1.0):
        np.testing.assert_allclose(sketch.quantile(q), np.quantile(values, q, axis=0), rtol=1e-12)


SHAPES = {
    "normal": lambda random, n: random.normal(size=n),
    "rising": lambda random, n: np.arange(n, dtype=float),
    "heavy": lambda random, n: random.standard_cauchy(n),
    "two values": lambda random, n: (random.random(n) < 0.3).astype(float),
}


@pytest.mark.parametrize("merged", [False, True], ids=["one pass", "merged"])
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_ranks_of_quantiles_are_right_within_the_stated_bound(shape: str, merged: bool) -> None:
    count = 300_000
    values = SHAPES[shape](np.random.default_rng(3), count)[:, None]
    sketches = [Sketch(1), Sketch(1)]
    for number, part in enumerate(parts_of(values)):
        sketches[number % 2 if merged else 0].add(part)
    sketches[0].merge(sketches[1])
    assert sketches[0].count == count
    levels = np.ceil(np.log2(count / 8192)) + 1
    for q in (0.01, 0.5, 0.99):
        found = sketches[0].quantile(q)[0]
        low, high = (values < found).mean(), (values <= found).mean()
        assert low - levels / 8192 <= q <= high + levels / 8192
        assert low - 0.001 <= q <= high + 0.001  # and, as random offsets have it, far nearer


def test_memory_of_a_sketch_grows_with_the_logarithm_of_what_it_saw() -> None:
    sketch = Sketch(1)
    held = []
    for _ in range(3):
        for _ in range(40):
            sketch.add(np.random.default_rng(0).random(5000))
        held.append(sum(part.size for level in sketch._levels for part in level))
    assert sketch.count == 600_000
    assert max(held) < 8192 * 8


def test_nothing_has_no_quantile() -> None:
    assert np.isnan(Sketch(2).quantile(0.5)).all()


def test_columns_are_named_and_counted() -> None:
    running = Running(("a", "b"))
    values = np.array([[1, 10], [3, 10]], np.float32)
    running.see(values)
    first, second = running.columns()
    assert (first.name, first.count, first.mean, first.std, first.min, first.max) == ("a", 2, 2.0, 1.0, 1.0, 3.0)
    assert (second.name, second.std, second.q01, second.q99) == ("b", 0.0, 10.0, 10.0)


@pytest.mark.parametrize("mode", ["mean_std", "min_max", "quantiles"])
def test_a_contract_from_parts_is_the_contract_from_the_data(mode: ScalingMode) -> None:
    facts = Recorded([1]).facts
    random = torch.Generator().manual_seed(0)
    states, chunks = torch.randn(400, 2, generator=random), 5 + torch.randn(400, 3, 2, generator=random)
    states[:, 1] = 7.0
    summaries = []
    for values, names in ((states, facts.state), (chunks.flatten(0, 1), facts.actions)):
        running = Running(tuple(names))
        moments = [running.see(part) for part in parts_of(values.numpy())]
        summaries.append(summary(moments, running.columns()))
    ours, whole = make_spec(facts, *summaries, scaling=mode), make_spec(facts, states, chunks, scaling=mode)
    for name in ("state_mean", "state_std", "action_mean", "action_std"):
        assert getattr(ours.normalisation, name) == pytest.approx(getattr(whole.normalisation, name), rel=1e-6)
    assert ours.actions == whole.actions
