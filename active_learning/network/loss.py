"""How wrong the network is: Dice and cross-entropy over the classes, and the line's own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from active_learning.network.patches import UNKNOWN
from annotator.core.classes import CLASS_NAMES, UNLABELLED
from annotator.segmentation.network.architecture import DEPTH, LINE, PLANES

# Pixels added to both sides of a class' Dice: a class of a few pixels says little.
_SMOOTHING = 50.0
# The line is thin: a pixel of it counts as much as this many others.
_LINE_WEIGHT = 4.0
# Of the line, of the depth and of the scale in the whole loss.
_LINE_SHARE, _DEPTH_SHARE, _SCALE_SHARE = 0.5, 0.5, 0.05


def dice_loss(logits: Tensor, codes: Tensor) -> Tensor:
    """One less the mean soft Dice of the classes over a batch.

    Milletari, Navab and Ahmadi, "V-Net: Fully Convolutional Neural Networks for Volumetric
    Medical Image Segmentation", 3DV 2016, with the plain sum below.

    Parameters
    ----------
    logits : (N, 4, H, W) float32
    codes : (N, H, W) int64
        Classes; 255 counts for nothing.

    Returns
    -------
    () float32
        In 0..1.
    """
    known = (codes != UNLABELLED).unsqueeze(1)
    truth = F.one_hot(codes.clamp(max=len(CLASS_NAMES) - 1), len(CLASS_NAMES))
    truth = truth.permute(0, 3, 1, 2) * known
    said = logits.softmax(1) * known
    over = (0, 2, 3)
    both = (said * truth).sum(over)
    return 1 - ((2 * both + _SMOOTHING) / ((said + truth).sum(over) + _SMOOTHING)).mean()


def cross_entropy(logits: Tensor, codes: Tensor) -> Tensor:
    """Mean cross-entropy over the pixels whose class is known; 0 where none is."""
    known = (codes != UNLABELLED).sum().clamp(min=1)
    total = F.cross_entropy(logits, codes, ignore_index=UNLABELLED, reduction="sum")
    return total / known


def line_loss(logits: Tensor, line: Tensor) -> Tensor:
    """Binary cross-entropy of the line between adipocytes, (N, H, W) of 0, 1 and 255 unknown."""
    known = line != UNKNOWN
    each = F.binary_cross_entropy_with_logits(
        logits,
        (line == 1).float(),
        pos_weight=torch.tensor(_LINE_WEIGHT, device=logits.device),
        reduction="none",
    )
    return (each * known).sum() / known.sum().clamp(min=1)


def depth_loss(logits: Tensor, depth: Tensor) -> Tensor:
    """Mean absolute error of the depth in adipocytes; (N, H, W) of 0-254 and 255 unknown."""
    known = depth != UNKNOWN
    each = (logits.sigmoid() - depth.float() / (UNKNOWN - 1)).abs()
    return (each * known).sum() / known.sum().clamp(min=1)


def scale_loss(said: Tensor, um_per_px: Tensor) -> Tensor:
    """Negative log-likelihood, less a constant, of the scale: Laplace, width by the network.

    Kendall and Gal, "What Uncertainties Do We Need in Bayesian Deep Learning for Computer
    Vision?", NeurIPS 2017: where there is nothing to tell the scale by, the network says so
    instead of guessing.

    Parameters
    ----------
    said : (N, 2, H, W) float32
        Binary logarithm of the microns per pixel, and that of the width of its distribution.
    um_per_px : (N,) float32
        nan counts for nothing.
    """
    known = um_per_px.isfinite()
    if not known.any():
        return said.sum() * 0
    off = (said[known, 0] - um_per_px[known].log2()[:, None, None]).abs()
    width = said[known, 1].clamp(-5, 5)
    return (off * torch.exp2(-width) + width).mean()


@dataclass(frozen=True, slots=True, eq=False)
class PatchTruth:
    """What is known of patches at the network's output.

    Parameters
    ----------
    codes, line, depth : (N, H, W) int64
        See :class:`~active_learning.network.patches.Patch`.
    um_per_px : (N,) float32
    """

    codes: Tensor
    line: Tensor
    depth: Tensor
    um_per_px: Tensor


def network_loss(logits: Tensor, truth: PatchTruth, dice_alone: bool = False) -> Tensor:
    """What training makes small: Dice and cross-entropy of the classes, and shares of the rest.

    Parameters
    ----------
    logits : (N, 8, H, W) float32
    truth : PatchTruth
    dice_alone : bool
        Whether Dice alone counts for the classes, as published; the line, the depth and the
        scale are learned all the same.
    """
    classes = logits[:, :LINE]
    loss = dice_loss(classes, truth.codes)
    loss = loss + _LINE_SHARE * line_loss(logits[:, LINE], truth.line)
    loss = loss + _DEPTH_SHARE * depth_loss(logits[:, DEPTH], truth.depth)
    loss = loss + _SCALE_SHARE * scale_loss(logits[:, PLANES:], truth.um_per_px)
    return loss if dice_alone else loss + cross_entropy(classes, truth.codes)
