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


def resize_rounding(resize: Resize, low: torch.Tensor) -> torch.Tensor:
    """How far two float32 programs may differ in each pixel, (K, H, W), on any processor.

    A pixel is a mean of at most 3 x 3 cells; weights and sums take at most some 16
    roundings of half a unit in each program, and each is of a share of the cells' sizes.
    """
    height, width = resize.low_shape
    sizes = resize.rows @ low[:, :height, :width].abs() @ resize.columns.T
    return 16 * torch.finfo(low.dtype).eps * sizes
