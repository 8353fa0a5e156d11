"""Augmentation changes what is sampled a little, by sample and by camera, and never what is stored."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from vla_runtime.learn.augment import Augment
from vla_runtime.learn.keys import IMAGE

EXACT = {"brightness": 0.0, "contrast": 0.0, "colour": 0.0, "noise": 0.0}


def batch_of(count: int = 64) -> TensorDict:
    random = torch.Generator().manual_seed(0)
    cameras = {
        name: torch.randint(60, 190, (count, 3, *size), dtype=torch.uint8, generator=random)
        for name, size in {"front": (12, 20), "wrist": (9, 7)}.items()
    }
    return TensorDict({IMAGE: TensorDict(cameras, [count])}, [count])


def vary(seed: int = 0, **how: float) -> TensorDict:
    torch.manual_seed(seed)
    return Augment(**how)(batch_of())[IMAGE]


def test_with_every_amount_at_zero_it_only_scales_to_fractions() -> None:
    for camera, image in vary(**EXACT).items():
        assert torch.allclose(image, batch_of()[IMAGE, camera] / 255.0, atol=1e-6)


def test_values_stay_fractions_and_near_the_original() -> None:
    for camera, image in vary().items():
        assert image.dtype == torch.float32
        assert image.min() >= 0.0
        assert image.max() <= 1.0
        change = image - batch_of()[IMAGE, camera] / 255.0
        assert 0.01 < change.abs().mean() < 0.1


def test_what_is_stored_stays() -> None:
    batch = batch_of()
    before = batch[IMAGE].clone()
    Augment(shift=2)(batch.copy())
    assert all(torch.equal(batch[IMAGE, name], image) for name, image in before.items())


def test_samples_cameras_and_calls_differ_and_a_seed_repeats_them() -> None:
    levels = {name: vary(**EXACT | {"brightness": 0.2})[name].mean((1, 2, 3)) for name in ("front", "wrist")}
    offsets = {name: level - (batch_of()[IMAGE, name] / 255.0).mean((1, 2, 3)) for name, level in levels.items()}
    assert len(offsets["front"].unique()) > 60
    assert not torch.allclose(offsets["front"], offsets["wrist"], atol=1e-3)
    assert torch.equal(vary(3)["front"], vary(3)["front"])
    assert not torch.allclose(vary(3)["front"], vary(4)["front"])


@pytest.mark.parametrize(("how", "most"), [("brightness", 0.1), ("contrast", 0.05), ("colour", 0.05), ("noise", 0.1)])
def test_an_amount_bounds_its_change(how: str, most: float) -> None:
    change = vary(**EXACT | {how: 0.1})["front"] - batch_of()[IMAGE, "front"] / 255.0
    spread = change.std((1, 2, 3)).max() if how == "noise" else change.abs().max()
    assert most * 0.3 < spread <= most * 1.2


@pytest.mark.parametrize("most", [1, 2])
def test_a_shift_moves_each_image_by_whole_pixels_up_to_the_most(most: int) -> None:
    image, moved = (batch_of()[IMAGE, "front"] / 255.0), vary(**EXACT, shift=most)["front"]
    inner = (slice(None), slice(2, -2), slice(2, -2))
    found = set()
    for before, after in zip(image, moved, strict=True):
        matches = [
            (y, x)
            for y in range(-2, 3)
            for x in range(-2, 3)
            if torch.allclose(before.roll((y, x), (1, 2))[inner], after[inner], atol=1e-6)
        ]
        assert len(matches) == 1
        found |= set(matches)
    assert max(abs(step) for move in found for step in move) == most
    assert len(found) > 5


@pytest.mark.parametrize("how", [{"brightness": -0.1}, {"noise": 0.6}, {"contrast": float("nan")}, {"shift": 3}])
def test_amounts_out_of_range_are_refused(how: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"is .*, expected 0"):
        Augment(**how)
