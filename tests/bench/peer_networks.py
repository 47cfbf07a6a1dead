"""Two networks that learn from the same patches for the same time: a plain U-Net, and ours."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from peer_fields import Predict, at_scale, enlarged
from torch import Tensor, nn

from active_learning.network.encoding import EncodedPatches, encode_patches, onnx_encoder
from active_learning.network.loss import cross_entropy, dice_loss
from active_learning.network.patches import PatchSettings, TruthField, draw_patch
from active_learning.network.training import (
    PatchRows,
    TrainingPlace,
    one_cycle,
    train_decoder,
    training_precision,
)
from annotator.core.classes import CLASS_NAMES
from annotator.segmentation.network.architecture import OUTPUT_STRIDE
from annotator.segmentation.network.network_file import SegmentationNetwork, write_network
from annotator.segmentation.network.prediction import SCALES_UM, NetworkPredictor
from annotator.settings.network_training import NetworkTrainSettings

PATCHES = PatchSettings(side=256, finest_um=SCALES_UM[0], coarsest_um=SCALES_UM[-1])
"""What both learn from: the scales that both predict at."""
SETTINGS = NetworkTrainSettings(
    threads=1, finest_um=PATCHES.finest_um, coarsest_um=PATCHES.coarsest_um
)
# Times that ours learns from each patch; making one takes as long as learning from it.
_EPOCHS = 4
# Steps that tell how long an epoch takes.
_PROBED = 6
_CLIPPED_NORM = 5.0

# A U-Net as of 2015 with batch norm, a quarter as wide: 1.9 million parameters.
_WIDTHS = (16, 32, 64, 128, 256)
_STRIDE = 2 ** (len(_WIDTHS) - 1)


class PlainUNet(nn.Module):
    """A U-Net from scratch.

    References
    ----------
    Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image
    Segmentation", MICCAI 2015.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *_WIDTHS[:-1])
        self.down = nn.ModuleList(map(_twice, inputs, _WIDTHS))
        coarsest_first = _WIDTHS[::-1]
        self.larger = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, 2) for coarse, fine in pairwise(coarsest_first)
        )
        self.up = nn.ModuleList(_twice(2 * width, width) for width in coarsest_first[1:])
        self.head = nn.Conv2d(_WIDTHS[0], len(CLASS_NAMES), 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (N, 3, H, W) in 0..255 to logits (N, 4, H, W); sides are multiples of 16."""
        values, levels = pixels / 127.5 - 1, []
        for at, step in enumerate(self.down):
            values = step(nn.functional.max_pool2d(values, 2) if at else values)
            levels.append(values)
        for larger, step, finer in zip(self.larger, self.up, levels[-2::-1], strict=True):
            values = step(torch.cat([larger(values), finer], 1))
        logits: Tensor = self.head(values)
        return logits


def _twice(inputs: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, width):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def train_unet(fields: Sequence[TruthField], seconds: float) -> Predict:
    """Learn from patches until the time is over: optimizer, rates and precision as for ours."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = PlainUNet().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(
        net.parameters(), SETTINGS.learning_rate, weight_decay=SETTINGS.weight_decay
    )
    dtype = training_precision(SETTINGS.precision, "cpu")
    began, part = time.process_time(), 0.0
    while part < 1:
        for group in optimizer.param_groups:
            group["lr"] = SETTINGS.learning_rate * one_cycle(part)
        pixels, codes = _batch(fields, rng)
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            logits = net(pixels)
        loss = dice_loss(logits.float(), codes) + cross_entropy(logits.float(), codes)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), _CLIPPED_NORM)
        optimizer.step()
        part = (time.process_time() - began) / seconds
    net.eval()
    return lambda pixels, um_per_px: _unet_codes(net, pixels, um_per_px)


def _batch(fields: Sequence[TruthField], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Pixels (8, 3, S, S) float32 and codes (8, S, S) int64 of fields by chance."""
    drawn = [
        draw_patch(fields[at], PATCHES, rng)
        for at in rng.integers(len(fields), size=SETTINGS.batch)
    ]
    pixels = np.stack([patch.pixels for patch in drawn])
    codes = np.stack([patch.codes for patch in drawn]).astype(np.int64)
    whole = codes.repeat(OUTPUT_STRIDE, 1).repeat(OUTPUT_STRIDE, 2)
    return _channels_first(pixels), torch.from_numpy(whole)


def _channels_first(pixels: NDArray[np.uint8]) -> Tensor:
    """(N, H, W, 3) uint8 as (N, 3, H, W) float32, in memory channels last."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float()


@torch.no_grad()
def _unet_codes(net: PlainUNet, pixels: NDArray[np.uint8], um_per_px: float) -> NDArray[np.uint8]:
    """The mean of what the network says at both scales, as for ours."""
    total = np.zeros((len(CLASS_NAMES), *pixels.shape[:2]), np.float32)
    for scale in SCALES_UM:
        seen = at_scale(pixels, um_per_px, scale)
        height, width = seen.shape[:2]
        padding = (0, -height % _STRIDE, 0, -width % _STRIDE)
        padded = cv2.copyMakeBorder(seen, *padding, cv2.BORDER_REFLECT)
        planes = net(_channels_first(padded[None])).softmax(1)[0, :, :height, :width]
        total += enlarged(planes.numpy(), pixels.shape)
    return total.argmax(0).astype(np.uint8)


def train_ours(fields: Sequence[TruthField], seconds: float) -> Predict:
    """Train the decoder on the frozen encoder, for as many epochs as the time allows."""
    with tempfile.TemporaryDirectory() as folder:
        network = _trained(fields, seconds, Path(folder))
    predictor = NetworkPredictor(network)
    return lambda pixels, um_per_px: (
        predictor.probabilities(pixels, um_per_px)[: len(CLASS_NAMES)].argmax(0).astype(np.uint8)
    )


def _trained(fields: Sequence[TruthField], seconds: float, folder: Path) -> SegmentationNetwork:
    before = time.process_time()
    patches = _patches(fields, folder, before + seconds)
    encoded = _encode(fields, patches, folder / "encoded")[0]
    settings = replace(SETTINGS, epochs=_EPOCHS)
    trained = train_decoder(_all(encoded), None, settings, TrainingPlace(folder / "training"))
    return write_network(folder / "ours.safetensors", trained.tensors, {"name": "ours"})


def _patches(fields: Sequence[TruthField], folder: Path, end: float) -> int:
    """How many patches of each field there is time for: made once, learned from in each epoch.

    A few are made and learned from to see how long that takes; what they taught is thrown
    away.
    """
    few = -(-_PROBED * SETTINGS.batch // len(fields))
    encoded, making = _encode(fields, few, folder / "few")
    marks: list[float] = []
    train_decoder(
        _all(encoded),
        None,
        replace(SETTINGS, epochs=2),
        TrainingPlace(folder / "probe"),
        on_epoch=lambda *_: marks.append(time.process_time()),
    )
    # The first epoch is slower than those that follow.
    learning = marks[1] - marks[0]
    left = end - time.process_time()
    return max(int(left / (making + _EPOCHS * learning) * few), 1)


def _all(encoded: EncodedPatches) -> PatchRows:
    return PatchRows(encoded, np.arange(len(encoded.field_of)))


def _encode(
    fields: Sequence[TruthField], patches: int, folder: Path
) -> tuple[EncodedPatches, float]:
    """So many patches of each field, and the seconds they took."""
    before = time.process_time()
    encoded = encode_patches(
        fields,
        PATCHES,
        np.full(len(fields), patches),
        folder,
        seed=0,
        encode=onnx_encoder(),
        on_patches=lambda done, of: None,
    )
    return encoded, time.process_time() - before
