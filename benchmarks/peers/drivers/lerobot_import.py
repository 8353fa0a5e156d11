"""Import before lerobot: torchvision of the package index expects operators that only its build for a GPU has."""

from __future__ import annotations

import torch

_OPERATORS = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _OPERATORS.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
