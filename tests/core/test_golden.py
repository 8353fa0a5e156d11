"""The golden sample's inputs: the same everywhere, and different wherever a mistake could hide."""

import numpy as np

from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.core.spec import CameraSpec, Normalisation

from .samples import spec


def test_the_images_follow_the_published_formula() -> None:
    images = golden_images(spec(), variant=2)
    assert sorted(images) == ["front", "wrist"]
    for index, (name, shape) in enumerate([("front", (4, 6, 3)), ("wrist", (5, 3, 3))]):
        assert images[name].shape == shape
        assert images[name].dtype == np.uint8
        for n, value in enumerate(images[name].ravel().tolist()):
            assert value == (31 * n + (17 * n) // 7 + 53 * index + 202) % 256


def test_the_state_follows_the_published_formula() -> None:
    state = golden_state(spec(), variant=3)
    assert state.dtype == np.float32
    mean, std = (0.2, 0.0, 5.0), (0.1, 1.5, 2.0)
    expected = [m + s * np.sin(1 + i + 2.1) for i, (m, s) in enumerate(zip(mean, std, strict=True))]
    assert np.allclose(state, expected, rtol=1e-6)


def test_the_inputs_are_the_same_every_time() -> None:
    for variant in range(3):
        first, second = golden_images(spec(), variant), golden_images(spec(), variant)
        assert all(np.array_equal(first[name], second[name]) for name in first)
        assert np.array_equal(golden_state(spec(), variant), golden_state(spec(), variant))


def test_no_two_cameras_and_no_two_variants_see_the_same() -> None:
    cameras = tuple(CameraSpec(f"c{i}", 16, 16) for i in range(4))
    seen = [image.tobytes() for variant in range(3) for image in golden_images(spec(cameras=cameras), variant).values()]
    assert len(set(seen)) == 12
    assert len({golden_state(spec(), variant).tobytes() for variant in range(8)}) == 8


def test_a_turned_mirrored_or_recoloured_image_is_another_image() -> None:
    image = golden_images(spec(cameras=(CameraSpec("front", 16, 16),)))["front"]
    others = [image[::-1], image[:, ::-1], image[..., ::-1], image.swapaxes(0, 1), np.roll(image, 1, axis=1)]
    assert all((other != image).mean() > 0.5 for other in others)


def test_a_policy_without_state_has_an_empty_one() -> None:
    bare = spec(state=(), normalisation=Normalisation((), (), (0.0,) * 2, (1.0,) * 2))
    assert golden_state(bare).shape == (0,)
