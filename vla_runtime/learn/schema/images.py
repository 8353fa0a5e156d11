"""Pictures: CHW, bytes or fractions, one of each camera by its name."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor

from vla_runtime.learn.keys import IMAGE
from vla_runtime.learn.schema.facts import SchemaFacts
from vla_runtime.learn.schema.problem import Problem

__all__ = ["image_problems"]


def image_problems(td: TensorDictBase, facts: SchemaFacts, *, required: bool) -> Iterator[Problem]:
    """What is wrong with the pictures in ``td``; a single tensor will do for a single camera."""
    try:
        images = td.get(IMAGE, None)
    except (KeyError, TypeError, ValueError, AttributeError):
        images = None
    if images is None:
        if required and facts.cameras:
            yield Problem(IMAGE, "nothing", f"pictures of {', '.join(facts.cameras)}")
        return
    if isinstance(images, Tensor):
        if len(facts.cameras) != 1:
            yield Problem(IMAGE, "one tensor", f"a tensordict of {', '.join(facts.cameras) or 'no camera'}")
            return
        (size,) = facts.cameras.values()
        yield from _picture(images, IMAGE, td.batch_dims, size)
        return
    for name, size in facts.cameras.items():
        key = (*IMAGE, name)
        picture = images.get(name, None)
        if isinstance(picture, Tensor):
            yield from _picture(picture, key, td.batch_dims, size)
        else:
            yield Problem(key, f"only {', '.join(map(str, sorted(images.keys()))) or 'nothing'}", "a picture")


def _picture(image: Tensor, key: NestedKey, batch_dims: int, size: tuple[int, int]) -> Iterator[Problem]:
    height, width = size
    found, wanted = list(image.shape[batch_dims:]), [3, height, width]
    if found != wanted:
        layout = "height, width, channels: " if found == [height, width, 3] else ""
        yield Problem(key, f"{layout}{found}", f"channels, height, width: {wanted}")
    elif image.dtype == torch.uint8:
        return
    elif image.dtype != torch.float32:
        yield Problem(key, str(image.dtype).removeprefix("torch."), "uint8, or float32 from 0 to 1")
    elif not image.isfinite().all():
        yield Problem(key, "NaN or infinity", "float32 from 0 to 1")
    elif not ((image >= 0) & (image <= 1)).all():
        yield Problem(key, f"float32 from {image.min().item():g} to {image.max().item():g}", "float32 from 0 to 1")
