"""How wrong the network is: Dice and cross-entropy over the classes, and the line's own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from active_learning.network.patches import UNKNOWN
from annotator.core.classes import CLASS_NAMES, UNLABELLED
from annotator.segmentation.network.architecture import LINE

# Pixels added to both sides of a class' Dice: a class of a few pixels says little.
_SMOOTHING = 50.0
# The line is thin: a pixel of it counts as much as this many others.
_LINE_WEIGHT = 4.0
# Of the line in the whole loss.
_LINE_SHARE = 0.5


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


def network_loss(logits: Tensor, codes: Tensor, line: Tensor, dice_alone: bool = False) -> Tensor:
    """Dice and cross-entropy of the classes, and half the line's: what training makes small.

    Parameters
    ----------
    logits : (N, 5, H, W) float32
    codes, line : (N, H, W) int64
    dice_alone : bool
        Whether Dice alone counts for the classes, as published; the line is learned all the
        same.
    """
    classes = logits[:, :LINE]
    loss = dice_loss(classes, codes) + _LINE_SHARE * line_loss(logits[:, LINE], line)
    return loss if dice_alone else loss + cross_entropy(classes, codes)
