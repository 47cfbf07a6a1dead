"""The two resizes of the segment-anything package, and the pair of matrices beside them."""

import torch
from torch.nn import functional

from annotator.segmentation.sam.mask_upscaling_matrices import Resize, resize_for
from annotator.segmentation.sam.model import fit_longest

LONGEST, LOW = 128, 32


def smooth(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.randn((1, *shape[:1], 6, 6), generator=draw) * 8
    return functional.interpolate(coarse, shape[1:], mode="bicubic", align_corners=False)[0]


def package_resize(
    low: torch.Tensor, longest: int, seen: tuple[int, int], size: tuple[int, int]
) -> torch.Tensor:
    """``Sam.postprocess_masks`` as the package writes it, for (K, side, side) logits."""
    masks = functional.interpolate(
        low[:, None], (longest, longest), mode="bilinear", align_corners=False
    )
    masks = masks[..., : seen[0], : seen[1]]
    return functional.interpolate(masks, size, mode="bilinear", align_corners=False)[:, 0]


def pair(shape: tuple[int, int], longest: int = LONGEST, low_side: int = LOW) -> Resize:
    return resize_for(shape, fit_longest(shape, longest), longest, low_side, "cpu")
