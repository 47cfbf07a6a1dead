"""What SAM is benchmarked on: a phantom, random weights, thresholds of trained ones.

Random values are tuned so that the default thresholds part their masks as they part those
of a trained network (see :func:`write_random`): a decoder whose masks all fail would be
cheap, and cheapest for us, who drop masks before they are upscaled. They still reach
further over the frame than real ones, which costs us more, and the package nothing.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from annotator.segmentation.sam.architecture import Architecture
from annotator.settings.sam import SamSettings

sys.path.insert(0, str(Path(__file__).parents[1]))  # random_sam

VIT_B = Architecture(
    "vit_b", 1024, 16, 768, 12, 12, 4.0, True, 14, (2, 5, 8, 11), 256, 16, 2, 2048, 8, 3, 256
)
# Of a random network: shares of its masks that it calls good, of those that are stable, and
# of all pixels that lie in a mask; the level of one channel of its upscaled features.
GOOD, STABLE, COVERED, LEVEL = 0.6, 0.75, 0.05, 5.0
HYPER = "mask_decoder.output_hypernetworks_mlps.{}.layers.2."


def cores() -> int:
    """Threads for every contender."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write_field(path: Path, shape: tuple[int, int]) -> None:
    """Draw a phantom; ``worth`` is where its truth is fat, bone or background."""
    from annotator.core.classes import CELL
    from annotator.synthetic.field import make_phantom
    from annotator.synthetic.settings import phantom_set

    phantom = make_phantom(phantom_set(1, shape)[0])
    um = np.array(phantom.settings.um_per_px)
    np.savez(path, pixels=phantom.image.pixels, worth=phantom.classes != CELL, um=um)


def read_field(path: Path) -> Any:
    """Read the image back."""
    from annotator.core.objects import Image

    with np.load(path) as field:
        return Image.from_pixels(field["pixels"], float(field["um"]))


def load_model(path: Path, device: str) -> Any:
    """Load a network, and give it all cores."""
    from annotator.segmentation.sam.proposer import load_sam
    from annotator.segmentation.sam.weights import Checkpoint

    return load_sam(Checkpoint(path, "0" * 64, path.name, "own"), device, cores())


def write_random(path: Path, shape: Architecture, field: Path) -> None:
    """Write random weights whose masks pass the default thresholds as often as real ones do.

    A grid of 36 points is decoded. The logits are shifted so that `COVERED` of all pixels
    are in a mask, and scaled so that `STABLE` of the masks that the IoU head calls good
    are stable; its bias is moved so that a share `GOOD` of them exceeds the threshold.
    """
    import torch
    from support.random_sam import random_state

    state, settings = random_state(shape), SamSettings()
    even_out(state)
    torch.save(state, path)
    low, scores = first_masks(path, field)
    likely = state[f"mask_decoder.iou_prediction_head.layers.{shape.iou_head_depth - 1}.bias"]
    good = []
    for token in range(3):
        its, least = low[token::3], torch.quantile(scores[token::3], 1 - GOOD)
        rise = -float(its.flatten().sort().values[int((1 - COVERED) * its.numel())])
        # The package leaves token 0 to prompts that are not ambiguous.
        likely[token + 1] += settings.pred_iou_thresh - least
        state[f"{HYPER.format(token + 1)}bias"][0] += rise / LEVEL
        good.append(its[scores[token::3] > least] + rise)
    scale = steepness(
        torch.cat(good), settings.stability_score_offset, settings.stability_score_thresh
    )
    for token in range(4):
        for part in ("weight", "bias"):
            state[f"{HYPER.format(token)}{part}"] *= scale
    torch.save(state, path)


def even_out(state: dict[str, Any]) -> None:
    """Let a mask depend on its place more than on a level that each point has by chance.

    Plain random decoders answer with the whole frame or with nothing. Channel 0 becomes
    `LEVEL` everywhere, so that its weight shifts all logits of a token.
    """
    import torch

    state["mask_decoder.output_upscaling.3.weight"][:, 0] = 0.0
    state["mask_decoder.output_upscaling.3.bias"][0] = LEVEL
    draw = torch.Generator().manual_seed(1)
    for token in range(4):
        state[f"{HYPER.format(token)}weight"] *= 0.1
        bias = state[f"{HYPER.format(token)}bias"]
        bias[1:] = 0.3 * torch.randn(len(bias) - 1, generator=draw)


def first_masks(path: Path, field: Path) -> tuple[Any, Any]:
    """Logits (108, h, w) and scores (108,) of a grid of 36 points."""
    import torch

    from annotator.segmentation.sam.model import Prompts
    from annotator.segmentation.sam.proposer import grid_points

    model, image = load_model(path, "cpu"), read_field(field)
    embedding = model.encode(image.pixels)
    points = grid_points(6, image.shape)
    parts = [model.decode(embedding, Prompts(points[i : i + 4]), 0.0) for i in range(0, 36, 4)]
    return torch.cat([p.low for p in parts]), torch.cat([p.scores for p in parts])


def steepness(low: Any, offset: float, threshold: float) -> float:
    """Least factor on the logits that makes the wanted share of the masks stable."""
    low = low[(low > 0).any(1).any(1)]
    for scale in np.geomspace(0.1, 1e5, 80).tolist():
        inner, outer = ((scale * low > cut).sum((1, 2)) for cut in (offset, -offset))
        if float((inner >= threshold * outer).float().mean()) >= STABLE:
            return scale
    raise RuntimeError("no scale makes the random masks stable: look at random_sam.localise")


def passing(path: Path, field: Path) -> SamSettings:
    """Default thresholds, but lower where a trained network would fail most of its masks.

    A network trained for an hour trusts itself less than the official ones. A share `GOOD`
    of the masks of 36 points passes at least, and `STABLE` of those.
    """
    import torch

    low, scores = first_masks(path, field)
    usual = SamSettings()
    least = min(usual.pred_iou_thresh, float(torch.quantile(scores, 1 - GOOD)))
    low, offset = low[scores > least], usual.stability_score_offset
    inner, outer = ((low > cut).sum((1, 2)) for cut in (offset, -offset))
    stable = torch.quantile(inner / outer.clamp(min=1), 1 - STABLE)
    return replace(
        usual,
        pred_iou_thresh=floor(least),
        stability_score_thresh=floor(min(usual.stability_score_thresh, float(stable))),
    )


def floor(value: float) -> float:
    """Rounded down to two decimals."""
    return float(np.floor(100 * value) / 100)
