"""The package's own mask generator, runnable without torchvision, to compare with.

It uses four functions of torchvision; what they do for it is written out here from
torchvision's documentation: PIL resizing (bilinear), and NMS by sorting and striking out.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image


def box_area(boxes: torch.Tensor) -> torch.Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_iou(one: torch.Tensor, other: torch.Tensor) -> float:
    low, high = torch.maximum(one[:2], other[:2]), torch.minimum(one[2:], other[2:])
    side = (high - low).clamp(min=0)
    shared = side[0] * side[1]
    return float(shared / (box_area(one[None]) + box_area(other[None]) - shared))


def batched_nms(
    boxes: torch.Tensor, scores: torch.Tensor, categories: torch.Tensor, iou_threshold: float
) -> torch.Tensor:
    kept: list[int] = []
    for index in torch.sort(scores, descending=True, stable=True).indices.tolist():
        if not any(box_iou(boxes[k], boxes[index]) > iou_threshold for k in kept):
            kept.append(index)
    return torch.tensor(kept, dtype=torch.int64)


def to_pil_image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels)


def resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize((size[1], size[0]), Image.Resampling.BILINEAR)


def _module(name: str, **content: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(content)
    return module


@contextmanager
def stock_generator() -> Iterator[type]:
    """Yield ``SamAutomaticMaskGenerator``; ``sys.modules`` is as before afterwards."""
    before = dict(sys.modules)
    for module in (
        _module("torchvision", __path__=[]),
        _module("torchvision.ops", __path__=[]),
        _module("torchvision.ops.boxes", batched_nms=batched_nms, box_area=box_area),
        _module("torchvision.transforms", __path__=[]),
        _module("torchvision.transforms.functional", resize=resize, to_pil_image=to_pil_image),
    ):
        sys.modules[module.__name__] = module
    try:
        package = importlib.import_module("segment_anything")
        yield package.SamAutomaticMaskGenerator
    finally:
        for name in [
            n for n in sys.modules if n.split(".")[0] in ("torchvision", "segment_anything")
        ]:
            del sys.modules[name]
            if name in before:
                sys.modules[name] = before[name]
